"""The product, broken by hand in one way at a time: what the checks must find. Named like what they start in their children."""

from __future__ import annotations

import os
from typing import Any

from hashstash.engines.pairtree import PairtreeEngine
from hashstash.functions.memo import Memo
from hashstash.policies.uses import Uses
from torture import disks, injection, surroundings


def tries(*arguments: Any) -> None:
    """Rows are written onto their names in two steps, instead of beside them."""

    def put(engine: Any, address: bytes, blob: bytes) -> None:
        name = address.hex()
        folder = os.path.join(engine._folder, name[:2])
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, blob[:50])
            os.write(descriptor, blob[50:])
        finally:
            os.close(descriptor)

    PairtreeEngine.put = put  # type: ignore[method-assign]
    injection.tries(*arguments)


def steps(*arguments: Any) -> None:
    """What comes from the future is believed to."""
    Uses.last = lambda uses, address, created_at: max(created_at, uses._new.get(address, 0))  # type: ignore[method-assign]
    surroundings.steps(*arguments)


def is_limited(*arguments: Any) -> None:
    """A result that cannot be stored is lost."""
    keep = Memo._keep

    def kept(memo: Memo, call: Any, result: Any) -> None:
        memo._warn = _raise  # type: ignore[method-assign]
        keep(memo, call, result)

    Memo._keep = kept  # type: ignore[method-assign]
    disks.is_limited(*arguments)


def _raise(what: str) -> None:
    raise OSError(what)
