"""Models of pydantic, installed and of a notebook."""

from skips import needs

needs("pydantic")

DEFINITIONS = """
import datetime
import enum
import typing

import pydantic
from pydantic import BaseModel, Field, PrivateAttr, computed_field, field_validator, model_validator

LIMIT = 100


class Kind(enum.Enum):
    BIG = "big"
    SMALL = "small"


class Address(BaseModel):
    street: str
    number: int = Field(default=1, ge=0)


class Person(BaseModel):
    model_config = {"extra": "allow", "validate_assignment": True}

    name: str = Field(alias="fullName", min_length=1)
    kind: Kind = Kind.SMALL
    born: datetime.date | None = None
    homes: list[Address] = []
    _secret: list = PrivateAttr(default_factory=list)

    @field_validator("name")
    @classmethod
    def capital(cls, value):
        if len(value) > LIMIT:
            raise ValueError("too long")
        return value.title()

    @model_validator(mode="after")
    def remember(self):
        self._secret.append("made")
        return self

    @computed_field
    @property
    def initials(self) -> str:
        return self.name[:1]


class Employee(Person):
    boss: "Employee | None" = None


class Above(BaseModel):
    a: int

    def double(self):
        return self.a * 2


class Below(Above):
    b: int = 0


T = typing.TypeVar("T")


class Page(BaseModel, typing.Generic[T]):
    items: list[T]


class Frozen(BaseModel, frozen=True):
    a: int


class Root(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    a: int = Field(gt=0)


person = Person(fullName="ada l", born="1815-12-10", homes=[{"street": "x"}], more=[1])
"""
CASES = {
    "model": (
        "person",
        "[v.model_dump(mode='json'), v._secret, v.model_extra, sorted(v.model_fields_set)]",
        True,
        "v.initials == 'A' and v.homes[0].number == 1 and v.kind.value == 'small'",
    ),
    "model still validates": (
        "Person",
        "v(fullName='bob').model_dump(mode='json')",
        True,
        "v.model_validate_json('{\"fullName\": \"x\"}').name == 'X' and v.model_json_schema()['properties']['fullName']['minLength'] == 1",
    ),
    "subclass": (
        "Employee(fullName='eve', boss=Employee(fullName='mallory'))",
        "v.model_dump(mode='json')",
        True,
        "type(v.boss) is type(v) and v.boss._secret == ['made', 'made'] and v.initials == 'E'",
        False,
    ),
    "subclass alone": ("Below(a=1)", "[v.a, v.b]", True, "type(v)(a='2').double() == 4"),
    "generic": (
        "Page[int](items=['1'])",
        "v.items",
        True,
        "type(v).__name__ == 'Page[int]' and type(v)(items=['2']).items == [2]",
    ),
    "generic class": ("Page", "v[str](items=['a']).items"),
    "frozen": ("Frozen(a=1)", "v.a", True, "hash(v) == hash(type(v)(a=1)) and v == type(v)(a=1)"),
    "root model": ("Root([1, 2])", "v.root", True, "type(v).model_validate(['3']).root == [3]"),
    "dataclass": ("Checked(a='3')", "v.a", True, "type(v)(a='4').a == 4"),
    "made by call": ("pydantic.create_model('Made', x=(int, 3))()", "v.x", True, "type(v)(x='5').x == 5"),
    "adapter": ("pydantic.TypeAdapter(list[int])", "v.validate_python(['1'])", True, "True", False),
    "secret": ("pydantic.SecretStr('s')", "v.get_secret_value()"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
