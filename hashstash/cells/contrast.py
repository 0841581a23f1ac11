"""Two summaries of one variable, then and now, put beside each other in words.

The earlier one comes from a record that anybody may have written: what is not as it must be says nothing.
"""

from __future__ import annotations

from typing import Any

from hashstash.cells.summaries import BLOCK, LONGEST_SOURCE, WHOLE_ELEMENTS, part_bounds
from hashstash.difference import compare
from hashstash.wording import printable

_MOST_LINES = 12
_MOST_NAMES = 6
_WIDTH = 160
_MOST_PARTS = 80


def contrast(then: Any, now: Any) -> list[str]:
    """What differs, in a few lines; none if nothing can be said."""
    try:
        found = _contrast(then, now)
    except (AttributeError, LookupError, TypeError, ValueError):  # what a stranger made up
        return []
    cut = [line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…" for line in map(printable, found)]
    return cut[:_MOST_LINES] + (["..."] if len(cut) > _MOST_LINES else [])


def _contrast(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if then["type"] != now["type"]:
        return [f"type {_text(then['type'])} -> {_text(now['type'])}", *_changed("value", then, now)]
    return [
        *_changed("value", then, now),
        *_size(then, now),
        *_changed("dtype", then, now),
        *_columns(then, now),
        *(["the index differs"] if _differ(then.get("index"), now.get("index")) else []),
        *_first_difference(then, now),
        *_first_block(then, now),
        *_keys(then, now),
        *_attributes(then, now),
        *_source(then, now),
    ]


def _text(value: Any) -> str:
    return str(value)[:_WIDTH]


def _differ(one: Any, other: Any) -> bool:
    """Whether two digests say that something differs; an empty one, or none, says nothing."""
    return isinstance(one, bytes) and isinstance(other, bytes) and bool(one and other) and one != other


def _changed(field: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    one, other = then.get(field), now.get(field)
    if one == other:
        return []
    label = "" if field == "value" else f"{field} "
    return [f"{label}{_text(one)} -> {_text(other)}"] if one is not None and other is not None else []


def _size(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Shape or length, also where it is as before, since that is what one looks for first."""
    for field in ("shape", "length"):
        if field in then and field in now:
            one, other = (_shape(summary[field]) for summary in (then, now))
            return [f"{field} {one} as before" if one == other else f"{field} {one} -> {other}"]
    return []


def _shape(size: Any) -> str:
    return f"{int(size):,}" if type(size) is int else f"({', '.join(str(int(part)) for part in size[:8])})"


def _columns(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "columns" not in then or "columns" not in now:
        return []
    old, new = ({_text(name): (_text(kind), digest) for name, kind, digest in one["columns"]} for one in (then, now))
    shared = [name for name in new if name in old]
    retyped = [name for name in shared if old[name][0] != new[name][0]]
    differing = [name for name in shared if name not in retyped and _differ(old[name][1], new[name][1])]
    lines = [f"column {name!r}: dtype {old[name][0]} -> {new[name][0]}" for name in retyped[:_MOST_NAMES]]
    has_all = then["shape"][1] == len(then["columns"]) and now["shape"][1] == len(now["columns"])
    if has_all:
        lines += _listed("column", [name for name in old if name not in new], "gone", "gone")
        lines += _listed("column", [name for name in new if name not in old], "new", "new")
    lines += _listed("column", differing, "different", "different")
    if has_all and not lines and list(old) != list(new):
        lines.append("the columns are in another order")
    return lines


def _listed(noun: str, names: list[str], one: str, many: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    listed = ", ".join(map(repr, names[:_MOST_NAMES])) + more
    return [f"{noun} {listed} is {one}" if len(names) == 1 else f"{noun}s {listed} are {many}"]


def _first_difference(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "parts" not in then or "parts" not in now or then.get("dtype") != now.get("dtype"):
        return []
    old, new = then["parts"], now["parts"]
    counts = _count(then), _count(now)
    for number, (one, other) in enumerate(zip(old[:_MOST_PARTS], new, strict=False)):
        if not one or not other:
            return []
        if one != other:
            start, end = part_bounds(number)
            end = min(end, max(counts))
            if end - start == 1:
                return [f"first difference at element {start:,}"]
            which = "first" if end <= WHOLE_ELEMENTS else "a"  # of longer parts only the beginning is known
            return [f"{which} difference between elements {start:,} and {end - 1:,}"]
    shorter, longer = sorted(counts)
    is_known = shorter < longer and shorter <= WHOLE_ELEMENTS and "length" in then
    return [f"first difference at element {shorter:,}"] if is_known else []


def _first_block(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where two long texts begin to differ."""
    for number, (one, other) in enumerate(zip(then.get("blocks", []), now.get("blocks", []), strict=False)):
        if not one or not other:
            return []
        if one != other:
            start, end = (BLOCK * bound for bound in part_bounds(number))
            end = min(end, max(_count(then), _count(now)))
            return [f"first difference between characters {start:,} and {end - 1:,}"]
    return []


def _count(summary: dict[str, Any]) -> int:
    if "length" in summary:
        return int(summary["length"])
    count = 1
    for part in summary["shape"][:8]:
        count *= int(part)
    return count


def _keys(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "keys" not in then or "keys" not in now:
        return []
    old, new = (dict(map(tuple, one["keys"])) for one in (then, now))
    if b"" in old or b"" in new or len(old) != then["length"] or len(new) != now["length"]:
        return []
    names = now.get("names", {})
    shared = [key for key in new if key in old]
    lines = _keyed(names, [key for key in shared if _differ(old[key], new[key])], "differs")
    lines += _keyed(names, [key for key in new if key not in old], "is new")
    gone = len([key for key in old if key not in new])
    lines += [f"{gone} of its keys {'is' if gone == 1 else 'are'} gone"] if gone else []
    return lines or (["its keys are in another order"] if list(old) != list(new) else [])


def _keyed(names: dict[bytes, str], keys: list[bytes], what: str) -> list[str]:
    lines = [f"key {names.get(key, '?')} {what}" for key in keys[:_MOST_NAMES]]
    return lines + ([f"and {len(keys) - _MOST_NAMES} keys more"] if len(keys) > _MOST_NAMES else [])


def _attributes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "attributes" not in then or "attributes" not in now:
        return []
    old, new = ({_text(name): digest for name, digest in one["attributes"]} for one in (then, now))
    lines = _listed("attribute", [name for name in new if _differ(old.get(name), new[name])], "different", "different")
    lines += _listed("attribute", [name for name in new if name not in old], "new", "new")
    return lines + _listed("attribute", [name for name in old if name not in new], "gone", "gone")


def _source(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    one, other = then.get("source"), now.get("source")
    if not isinstance(one, str) or not isinstance(other, str) or not one or not other:
        return []
    if one == other and len(one) >= LONGEST_SOURCE:
        return ["it differs behind what is kept of its text"]
    if one == other:
        return ["its text is as before: a default, or a variable that it closes over, differs"]
    return list(compare(one[:LONGEST_SOURCE], other, ""))
