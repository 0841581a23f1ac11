"""The default serializer: portable MessagePack, in which data needs no trust.

What is plain data (numbers, text, containers, dates, arrays, frames and their like) becomes a plain document, and is
written without a memo: ``[a, a]`` comes back as two equal lists, as with JSON. Where something is more than data
(instances, functions, classes) or holds itself, the whole value becomes a graph document, which keeps identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.serializers.hashstash.document import GRAPH_BYTE, read, read_fast, write, write_fast
from hashstash.serializers.hashstash.types import NeedsGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.codec import Encoded


class HashstashSerializer:
    """Objects to documents and back."""

    name = "hashstash"

    loads_plain: Callable[[Any], Any] = staticmethod(read_fast)
    """For the shortest way to a small value: decodes a document that is no code and has no buffers.

    Its exceptions are of any type; after one, :meth:`loads` decodes what this cannot (graphs), or says what is wrong.
    """

    dumps_plain: Callable[[Any], bytes | None] = staticmethod(write_fast)
    """For the shortest way of a small value: its document, which is no code and has no buffers; ``None``: ask :meth:`dumps`."""

    def dumps(self, value: Any) -> Encoded:
        """Return *value* encoded; raise :class:`~hashstash.errors.UnsupportedValue` naming the part that cannot be."""
        try:
            return write(value)
        except NeedsGraph:
            from hashstash.serializers.hashstash.graph import dumps_graph

            return dumps_graph(value)

    def loads(self, encoded: Encoded) -> Any:
        """Return the value that :meth:`dumps` was given; malformed input raises a ``BadEntry``."""
        if encoded.document[:1] == bytes((GRAPH_BYTE,)):
            from hashstash.serializers.hashstash.graph import loads_graph

            return loads_graph(encoded)
        return read(encoded.document, encoded.buffers)


PLUGIN = HashstashSerializer()
