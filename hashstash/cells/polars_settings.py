"""Settings of polars: some are variables of the environment, others are kept by its core."""

from __future__ import annotations

import json
from typing import Any

Values = dict[str, Any]

_DEFAULTS: Values = {
    "set_fmt_float": "mixed",
    "set_float_precision": None,
    "set_thousands_separator": "",
    "set_decimal_separator": ".",
    "set_trim_decimal_zeros": False,
}


def read(module: Any) -> Values:
    """What is not as it is by default."""
    state = module.Config.state(if_set=True)
    return {key: value for key, value in state.items() if value != _DEFAULTS.get(key)}


def get(module: Any, key: str) -> Any:
    """The value of one setting; ``None`` for a variable that is not set."""
    return module.Config.state().get(key)


def set(module: Any, key: str, value: Any) -> None:  # noqa: A001 - read as polars_settings.set
    """Set it, as reading a saved configuration does."""
    kind = "environment" if key.isupper() else "direct"
    module.Config.load(json.dumps({kind: {key: value}}))
