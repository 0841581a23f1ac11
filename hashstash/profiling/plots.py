"""The figures of a profile: each compares the settings of one kind and holds the others fixed; the last one shows them all.

A dot is a median, the line through it goes from the least to the most. Times and speeds stand on logarithmic axes, sizes on
axes that begin at zero.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.profiling.matplotlib import (
    GREY,
    READING,
    WRITING,
    colour_bar,
    coloured_cells,
    drawing,
    legend_above,
    log_axis,
    log_colours,
    new_figure,
    number_text,
    rows_on,
    save,
    shades,
    time_text,
)
from hashstash.profiling.pandas import SETTING, cases_of, own_setting, spread
from hashstash.wording import size_text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from hashstash.profiling.matplotlib import Plot

    File = str | os.PathLike[str] | None

_ROW = 0.27
"""Inches that a row takes."""
_APART = 0.17
"""How far apart the cases of a row stand, in rows."""
_MOST_CASES = 5
_LONGEST_NAME = 24

Case = tuple[Any, ...]
Spread = tuple[float, float, float]


class Panel(NamedTuple):
    """One of the fields of a figure: what is shown of which operation, and how."""

    title: str
    label: str
    operation: str
    column: str
    colour: str
    is_log: bool
    wording: Callable[[float], str]


class Draft(NamedTuple):
    """A figure before it is drawn."""

    title: str
    compared: str
    """The column whose values have a row each."""
    panels: list[Panel]
    order_by: int
    """The panel whose least value stands on top."""


def plot_engines(profile: Any, file: File, fixed: Mapping[str, str | None]) -> Plot:
    """Times of writing and reading by engine; the quickest reader on top."""
    panels = [
        Panel("Write", "time per value, ← is faster", "Write", "Time (s)", WRITING, True, time_text),
        Panel("Read", "time per value, ← is faster", "Read", "Time (s)", READING, True, time_text),
    ]
    draft = Draft("Engines: time to write and to read", "Engine", panels, order_by=1)
    return _dots(profile, file, draft, fixed)


def plot_serializers(profile: Any, file: File, fixed: Mapping[str, str | None]) -> Plot:
    """Sizes and speeds by serializer; the smallest on top."""
    panels = _size_and_speed("Serialized", "Raw Size (B)", "bytes in % of the smallest")
    return _dots(profile, file, Draft("Serializers: size and speed", "Serializer", panels, order_by=0), fixed)


def plot_encodings(profile: Any, file: File, fixed: Mapping[str, str | None]) -> Plot:
    """Sizes and speeds by encoding; the smallest on top."""
    panels = _size_and_speed("Stored", "Compression Ratio (%)", "% of the serialized bytes")
    return _dots(profile, file, Draft("Encodings: size and speed", "Encoding", panels, order_by=0), fixed)


def _size_and_speed(title: str, column: str, label: str) -> list[Panel]:
    speed = "MB/s of serialized bytes, → is faster"
    return [
        Panel(title, f"{label}, ← is smaller", "Write", column, GREY, False, lambda percent: f"{percent:.0f} %"),
        Panel("Encode", speed, "Encode Value", "Speed (MB/s)", WRITING, True, number_text),
        Panel("Decode", speed, "Decode Value", "Speed (MB/s)", READING, True, number_text),
    ]


def _dots(profile: Any, file: File, draft: Draft, fixed: Mapping[str, str | None]) -> Plot:
    """A figure with a row for each setting that is compared, and in each of its panels a dot in it for each case."""
    held = _held(profile, fixed)
    part = profile
    for name, value in held.items():
        part = part[part[name] == value]
    cases = _cases(part)
    data = [_panel_data(part, panel, draft.compared, cases) for panel in draft.panels]
    names = _ranked(data[draft.order_by])
    width, height = 3.1 * len(draft.panels) + 1.2, 0.95 + (_ROW + 0.03 * len(cases)) * max(len(names), 3)
    with drawing():
        subtitle = f"{_subtitle(part, held, cases)}, line from least to most"
        names_above = list(map(_case_name, cases)) if len(cases) > 1 and len(cases[0]) > 1 else []
        figure = new_figure(width, height, draft.title, subtitle, names_above)
        axes = figure.subplots(1, len(draft.panels), sharey=True, squeeze=False)[0]
        for axis, panel, found in zip(axes, draft.panels, data, strict=True):
            _draw(axis, panel, found, names, cases)
            if len(cases) > 1 and not names_above:  # sizes are short enough to stand above each panel
                legend_above(axis)
        return save(figure, file)


def _ranked(found: Mapping[tuple[str, Case], Spread]) -> list[str]:
    """The names by their medians, the least first; with several cases by the mean of the logarithms, so that each counts."""
    logarithms: dict[str, list[float]] = {}
    for (name, _), value in found.items():
        logarithms.setdefault(name, []).append(math.log(value[0]))
    return sorted(logarithms, key=lambda name: (sum(logarithms[name]) / len(logarithms[name]), name))


def _held(profile: Any, fixed: Mapping[str, str | None]) -> dict[str, str]:
    """What stays the same in a figure: what was asked for, else the stash's own setting."""
    own = own_setting(profile)
    held = {name: own[name] if wanted is None else wanted for name, wanted in fixed.items()}
    for name, value in held.items():
        known = list(dict.fromkeys(profile[name]))
        if value not in known:
            raise ValueError(f"{name.lower()}={value!r} was not measured; there are {', '.join(map(repr, known))}")
    return held


def _cases(part: Any) -> list[Case]:
    """The values that were measured, the smallest first."""
    if not len(part):
        raise ValueError("there is nothing to be drawn: the profile has no rows of that setting")
    columns = cases_of(part)
    cases = sorted(dict.fromkeys(part[columns].itertuples(index=False, name=None)), key=lambda case: case[-1])
    if len(cases) > _MOST_CASES:
        raise ValueError(f"{len(cases)} sizes are too many for one figure; choose up to {_MOST_CASES} of them first")
    return cases


def _case_name(case: Case) -> str:
    if len(case) == 1:
        return size_text(case[-1])
    name = case[0] if len(case[0]) <= _LONGEST_NAME else case[0][: _LONGEST_NAME - 1] + "…"
    return f"{name} ({size_text(case[-1])})"


def _panel_data(part: Any, panel: Panel, compared: str, cases: Sequence[Case]) -> dict[tuple[str, Case], Spread]:
    columns = cases_of(part)
    rows = part[part["Operation"] == panel.operation]
    found = {(key[0], key[1:]): value for key, value in spread(rows, panel.column, [compared, *columns]).items()}
    if panel.column == "Raw Size (B)":
        least = {case: min(value[0] for (_, of), value in found.items() if of == case) for case in cases}
        found = {key: _scaled(value, 100 / least[key[1]]) for key, value in found.items()}
    return found


def _scaled(value: Spread, factor: float) -> Spread:
    return value[0] * factor, value[1] * factor, value[2] * factor


def _draw(
    axis: Any, panel: Panel, found: Mapping[tuple[str, Case], Spread], names: Sequence[str], cases: Sequence[Case]
) -> None:
    axis.set_title(panel.title)
    axis.set_xlabel(panel.label)
    rows_on(axis, names)
    for number, (case, shade) in enumerate(zip(cases, shades(panel.colour, len(cases)), strict=True)):
        aside = _APART * (number - (len(cases) - 1) / 2)
        shown = [(row + aside, found[name, case]) for row, name in enumerate(names) if (name, case) in found]
        rows, medians = [row for row, _ in shown], [value[0] for _, value in shown]
        axis.hlines(rows, [value[1] for _, value in shown], [value[2] for _, value in shown], color=shade, linewidth=2)
        axis.scatter(medians, rows, color=shade, s=30, zorder=3, label=_case_name(case))
    ends = [end for value in found.values() for end in value]
    if panel.is_log:
        log_axis(axis, panel.wording, ends)
    else:
        axis.set_xlim(0, 1.2 * max(ends))
        axis.xaxis.set_major_formatter(lambda value, _: panel.wording(value))
    if len(cases) == 1:
        _write_values(
            axis, panel, [(row, found[name, cases[0]]) for row, name in enumerate(names) if (name, cases[0]) in found]
        )


def _write_values(axis: Any, panel: Panel, shown: Sequence[tuple[int, Spread]]) -> None:
    for row, value in shown:
        axis.annotate(
            panel.wording(value[0]), (value[0], row), (0, 5), textcoords="offset points", ha="center", fontsize=7.5
        )


def _subtitle(profile: Any, held: Mapping[str, str], cases: Sequence[Case]) -> str:
    values = (
        " and ".join(map(_case_name, cases))
        if len(cases) < 3
        else f"{len(cases)} {'sizes' if len(cases[0]) == 1 else 'values'}"
    )
    return "; ".join([*([", ".join(held.values())] if held else []), values, _repeated(profile)])


def _repeated(profile: Any) -> str:
    iterations = profile["Iteration"].nunique()
    return f"median of {iterations}" if iterations > 1 else "measured once"


def plot_all(profile: Any, file: File, size: int | None) -> Plot:
    """Fields of engines and encodings for each serializer, coloured and labelled by time, of writing and of reading."""
    cases = _cases(profile)
    case = next((case for case in cases if case[-1] == size), None) if size is not None else cases[-1]
    if case is None:
        raise ValueError(f"size={size!r} was not measured; there are {', '.join(str(case[-1]) for case in cases)}")
    part = profile
    for name, value in zip(cases_of(profile), case, strict=True):
        part = part[part[name] == value]
    found = spread(part, "Time (s)", ["Operation", *SETTING])
    engines, serializers, encodings = (list(dict.fromkeys(part[name])) for name in SETTING)
    times = {key: value[0] for key, value in found.items() if key[0] in ("Write", "Read")}
    with drawing():
        width = 1.3 + len(serializers) * max(0.52 * len(encodings), 2.2)
        height = 1.6 + 2 * (_ROW * len(engines) + 0.45)
        figure = new_figure(width, height, "Time per value, by all settings", _subtitle(part, {}, [case]))
        axes = figure.subplots(2, len(serializers), sharex=True, sharey=True, squeeze=False)
        norm = log_colours(list(times.values()))
        for row, operation in zip(axes, ("Write", "Read"), strict=True):
            for axis, serializer in zip(row, serializers, strict=True):
                cells = [
                    [times.get((operation, engine, serializer, encoding)) for encoding in encodings]
                    for engine in engines
                ]
                image = coloured_cells(axis, cells, norm, time_text)
                axis.set_title(f"{operation}, {serializer}")
                axis.set_xticks(range(len(encodings)), encodings, rotation=45, ha="right", rotation_mode="anchor")
                axis.set_yticks(range(len(engines)), engines)
        colour_bar(figure, image, axes, "time per value, darker is slower", time_text)
        return save(figure, file)
