"""The serializers that are compared, each behind the same three methods. Packages are imported where they are used."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar


class Unsupported(Exception):
    """The system is not made for such values."""


class Encoder:
    """One system. *encode* and *decode* are timed."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    def encode(self, value: Any) -> Any:
        """*value* in the system's own form."""
        raise NotImplementedError

    def decode(self, data: Any) -> Any:
        """The value in what :meth:`store` gave."""
        raise NotImplementedError

    def store(self, data: Any) -> Any:
        """What :meth:`encode` made, as it comes back from a disk: nothing of it is the value's own memory. Not timed."""
        return data

    def size(self, data: Any) -> int:
        """Bytes."""
        return len(data)


class Ours(Encoder):
    """HashStash's serializer as a stash uses it: large buffers beside the document, neither copied nor compressed."""

    name = "hashstash"
    packages = ("hashstash",)

    def __init__(self) -> None:
        from hashstash.codec import Encoded
        from hashstash.registry import SERIALIZERS

        self._encoded = Encoded
        self._serializer = SERIALIZERS.load("hashstash")

    def encode(self, value: Any) -> Any:
        document = self._serializer.dumps_plain(value)
        return self._serializer.dumps(value) if document is None else self._encoded(document)

    def decode(self, data: Any) -> Any:
        return self._serializer.loads(data)

    def store(self, data: Any) -> Any:
        return data._replace(document=bytes(data.document), buffers=[bytearray(buffer) for buffer in data.buffers])

    def size(self, data: Any) -> int:
        return len(data.document) + sum(memoryview(buffer).nbytes for buffer in data.buffers)


class OursPacked(Encoder):
    """``hashstash.encode``: one string of bytes, compressed where it pays, with a checksum, and signed if it is code."""

    name = "hashstash.encode"
    packages = ("hashstash",)

    def encode(self, value: Any) -> Any:
        from hashstash import encode

        return encode(value, b64=False)

    def decode(self, data: Any) -> Any:
        from hashstash import decode

        return decode(data)


class Pickle(Encoder):
    name = "pickle 5"

    def encode(self, value: Any) -> bytes:
        return pickle.dumps(value, 5)

    def decode(self, data: Any) -> Any:
        return pickle.loads(data)


class PickleOutOfBand(Encoder):
    """Pickle 5 with large buffers beside the pickle."""

    name = "pickle 5, out of band"

    def encode(self, value: Any) -> Any:
        buffers: list[pickle.PickleBuffer] = []
        return pickle.dumps(value, 5, buffer_callback=buffers.append), buffers

    def decode(self, data: Any) -> Any:
        return pickle.loads(data[0], buffers=data[1])

    def store(self, data: Any) -> Any:
        return data[0], [bytearray(buffer.raw()) for buffer in data[1]]

    def size(self, data: Any) -> int:
        return len(data[0]) + sum(memoryview(buffer).nbytes for buffer in data[1])


class CloudPickle(Pickle):
    name = "cloudpickle"
    packages = ("cloudpickle",)

    def encode(self, value: Any) -> bytes:
        import cloudpickle

        return cloudpickle.dumps(value, 5)  # type: ignore[no-any-return]


class Dill(Encoder):
    name = "dill"
    packages = ("dill",)

    def encode(self, value: Any) -> Any:
        import dill  # type: ignore[import-untyped]

        return dill.dumps(value, 5)

    def decode(self, data: Any) -> Any:
        import dill

        return dill.loads(data)


class Joblib(Encoder):
    """joblib.dump into memory, without compression, which is its default."""

    name = "joblib"
    packages = ("joblib",)

    def encode(self, value: Any) -> bytes:
        import joblib  # type: ignore[import-untyped]

        target = io.BytesIO()
        joblib.dump(value, target)
        return target.getvalue()

    def decode(self, data: Any) -> Any:
        import joblib

        return joblib.load(io.BytesIO(data))


class JsonPickle(Encoder):
    """jsonpickle with its handlers for numpy and pandas, and with keys that are no text."""

    name = "jsonpickle"
    packages = ("jsonpickle",)

    def __init__(self) -> None:
        import importlib.util

        for package in ("numpy", "pandas"):
            if importlib.util.find_spec(package):
                importlib.import_module(f"jsonpickle.ext.{package}").register_handlers()

    def encode(self, value: Any) -> Any:
        import jsonpickle

        return jsonpickle.encode(value, keys=True)

    def decode(self, data: Any) -> Any:
        import jsonpickle

        return jsonpickle.decode(data, keys=True)

    def size(self, data: Any) -> int:
        return len(data.encode())


class Feather(Encoder):
    """Feather, for frames and tables."""

    name = "feather"
    packages = ("pyarrow", "pandas")

    def encode(self, value: Any) -> Any:
        import pandas as pd
        import pyarrow as pa
        from pyarrow import feather

        if not isinstance(value, pd.DataFrame | pa.Table):
            raise Unsupported
        target = io.BytesIO()
        feather.write_feather(value, target)
        return target.getvalue(), isinstance(value, pa.Table)

    def decode(self, data: Any) -> Any:
        from pyarrow import feather

        read = feather.read_table if data[1] else feather.read_feather
        return read(io.BytesIO(data[0]))

    def size(self, data: Any) -> int:
        return len(data[0])


class Original(Encoder):
    """The first release of HashStash, in an environment of its own: see ``original.py``."""

    name = "hashstash 1.2.0"
    packages = ("hashstash",)

    def encode(self, value: Any) -> Any:
        from hashstash import serialize

        return serialize(value)

    def decode(self, data: Any) -> Any:
        from hashstash import deserialize

        return deserialize(data)

    def size(self, data: Any) -> int:
        return len(data.encode() if isinstance(data, str) else data)


ENCODERS: dict[str, type[Encoder]] = {
    encoder.name: encoder
    for encoder in (
        *(Ours, OursPacked, Pickle, PickleOutOfBand, CloudPickle, Dill, Joblib, JsonPickle, Feather),
        Original,
    )
}
