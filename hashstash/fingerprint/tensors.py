"""Handlers for torch: tensors by dtype, shape and content, storages by their bytes, generators by state.

torch is never imported here: a value can only be a tensor if it already was. Strides do not count, nor which device of
a kind holds the content. What a function can read besides counts: whether gradients are wanted, the gradient, hooks and
attributes. A tensor that was computed from others under ``requires_grad`` leads to them, so it is volatile.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.fingerprint import instances
from hashstash.fingerprint.memory import extent, memory_owner, plainly, shared_memory

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler, Walker

_UNREADABLE = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError)
"""What torch raises for tensors that have no memory to read, such as opaque, nested, batched or uninitialized ones."""
_COMPRESSED = {
    "torch.sparse_csr": "row",
    "torch.sparse_bsr": "row",
    "torch.sparse_csc": "col",
    "torch.sparse_bsc": "col",
}


class _Block(NamedTuple):
    """A dense part of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    content: memoryview | None
    """The elements in C order; ``None`` on the device ``meta``, where there are none."""
    owner: Any
    """What keeps the memory from being freed."""


def find_handler(kind: type) -> Handler | None:
    """The handler for a type of torch, or derived from one; else ``None``."""
    torch: Any = sys.modules.get("torch")
    if torch is None or all(base.__module__.partition(".")[0] != "torch" for base in kind.__mro__):
        return None
    if issubclass(kind, getattr(torch, "Tensor", ())):
        # A type that takes over what torch does may hold its content elsewhere: it is what it pickles.
        own: Any = kind
        if hasattr(kind, "materialize"):  # a parameter without a shape as yet
            return None
        return walk_tensor if own.__torch_dispatch__ is torch.Tensor.__torch_dispatch__ else None
    if issubclass(kind, (getattr(torch, "UntypedStorage", ()), getattr(torch, "TypedStorage", ()))):
        return walk_storage
    return walk_generator if issubclass(kind, getattr(torch, "Generator", ())) else None


def walk_tensor(walker: Walker, value: Any) -> None:
    try:
        with plainly():
            has_history = value.grad_fn is not None
            details, blocks, extras = ([], [], {}) if has_history else (*_content_of(value), _extras_of(value))
    except _UNREADABLE as error:
        walker.refuse(f"a tensor whose content cannot be read ({str(error).splitlines()[0]})", value)
        return
    if has_history:
        walker.refuse("a tensor that leads to what it was computed from (its detach() does not)", value)
        return
    walker.register(value)
    walker.mark("tensor", *details)
    if type(value) is not sys.modules["torch"].Tensor:
        walker.walk(type(value))
    if memory_owner(value) is not None:
        for number, distance in shared_memory(walker, value):
            walker.mark("shares memory", number, distance)
    for block in blocks:
        _write(walker, block)
    for step, extra in extras.items():
        walker.mark(step)
        walker.step(step, extra) if step != ".__dict__" else instances.walk_state(walker, extra)


def _extras_of(value: Any) -> dict[str, Any]:
    """What a tensor has besides its content, by the step that leads there."""
    names = getattr(value, "names", ())  # until torch 2.12
    extras = {
        ".names": names if any(name is not None for name in names) else None,
        ".grad": value.grad,
        "._backward_hooks": dict(value._backward_hooks or {}) or None,  # noqa: SLF001  they have no other name
        ".__dict__": dict(vars(value)) or None,
    }
    return {step: extra for step, extra in extras.items() if extra is not None}


def _content_of(value: Any) -> tuple[list[str | int], list[_Block]]:
    """What a tensor is, for short, and its dense parts."""
    plain = value.detach()
    layout = str(plain.layout)
    if plain.is_nested:
        raise TypeError("it is nested")
    kind = [layout, plain.device.type, bool(value.requires_grad), str(plain.dtype), *plain.shape]
    if layout == "torch.sparse_coo":
        parts: tuple[Any, ...] = (plain._indices(), plain._values())  # noqa: SLF001  the public ones refuse what is not coalesced
        return [*kind, bool(plain.is_coalesced())], [_block(part) for part in parts]
    if layout in _COMPRESSED:
        side, other = ("crow", "col") if _COMPRESSED[layout] == "row" else ("ccol", "row")
        parts = (getattr(plain, f"{side}_indices")(), getattr(plain, f"{other}_indices")(), plain.values())
        return kind, [_block(part) for part in parts]
    if layout != "torch.strided":
        raise TypeError(f"its layout is {layout}")
    if not plain.is_quantized:
        return kind, [_block(plain, value)]
    scheme = str(plain.qscheme())
    if "channel" in scheme:
        parts = (plain.q_per_channel_scales(), plain.q_per_channel_zero_points(), plain.int_repr())
        return [*kind, scheme, int(plain.q_per_channel_axis())], [_block(part) for part in parts]
    return [*kind, scheme, float(plain.q_scale()).hex(), int(plain.q_zero_point())], [_block(plain.int_repr())]


def _block(plain: Any, owner: Any = None) -> _Block:
    """One strided tensor; *owner* remembers its hash where the content is its own memory."""
    dtype, shape = str(plain.dtype), tuple(plain.shape)
    if plain.device.type == "meta":
        return _Block(dtype, shape, None, None)
    end = plain.storage_offset() * plain.element_size() + extent(plain)
    if plain.numel() and end > plain.untyped_storage().nbytes():
        raise RuntimeError("its storage was made smaller than it is")
    dense = plain.cpu().resolve_conj().resolve_neg().contiguous()
    is_own = owner is not None and dense.data_ptr() == plain.data_ptr()
    content = _memory(dense.data_ptr(), dense.numel() * dense.element_size())
    return _Block(dtype, shape, content, owner if is_own else dense)


def _memory(address: int, size: int) -> memoryview:
    if not size:
        return memoryview(b"")
    if not address:
        raise RuntimeError("it has no memory")
    import ctypes  # few programs have tensors

    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


def _write(walker: Walker, block: _Block) -> None:
    walker.mark("block", block.dtype, *block.shape)
    if block.content is not None:
        walker.buffer(block.content, owner=block.owner)


def walk_storage(walker: Walker, value: Any) -> None:
    untyped = getattr(value, "_untyped_storage", value)
    device = untyped.device.type
    walker.register(value)
    walker.mark("storage", str(getattr(value, "dtype", "")), device, int(untyped.nbytes()))
    if device != "meta":
        held = untyped if device == "cpu" else untyped.cpu()
        walker.buffer(_memory(held.data_ptr(), held.nbytes()), owner=held)


def walk_generator(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("random generator of torch", value.device.type)
    _write(walker, _block(value.get_state()))
