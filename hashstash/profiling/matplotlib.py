"""How figures of a profile look: light on any background, told apart by anyone, the same wherever they are drawn.

They are drawn without ``pyplot`` and without the user's style: neither is changed by them, nor changes them.
"""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency

try:
    import matplotlib as mpl
    from matplotlib import style
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
except ImportError as missing:
    raise MissingDependency("figures need the package 'matplotlib': pip install 'hashstash[plot]'") from missing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

PAPER, INK, GREY, LINE = "#ffffff", "#1f2328", "#59636e", "#dde1e6"
WRITING, READING = "#b35900", "#0b62a4"
"""Orange and blue, which all kinds of eyes tell apart, and which differ in print too."""
_COLOURS = "cividis_r"
"""From yellow to dark blue, in even steps of lightness for all kinds of eyes."""
_DPI = 150
_STYLE = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "axes.labelcolor": GREY,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "font.family": "DejaVu Sans",  # which comes with matplotlib
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # names are the user's, and may hold a dollar
    "xtick.color": GREY,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "svg.hashsalt": "hashstash",
}
_LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "frameon": False,
    "fontsize": 8,
    "borderpad": 0.2,
    "columnspacing": 0.9,
    "handletextpad": 0,
}
_SCALES = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))


class Plot(Figure):
    """A matplotlib ``Figure`` that a notebook shows by itself, and that is saved on its own background."""

    def savefig(self, fname: Any, **options: Any) -> None:
        super().savefig(fname, **{"facecolor": self.get_facecolor(), "dpi": _DPI, **options})

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with drawing():
            self.savefig(file, format="png", dpi=100)
        return file.getvalue()


@contextmanager
def drawing() -> Iterator[None]:
    """Whatever style the user has set, ours is used inside."""
    with mpl.rc_context(), style.context(_STYLE, after_reset=True):
        yield


def new_figure(width: float, height: float, title: str, subtitle: str, names: Sequence[str] = ()) -> Plot:
    """An empty figure, so many inches wide and high, with its headline, and with the tones that stand for *names*."""
    headline = 0.87 if names else 0.62
    height += headline
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08, rect=(0, 0, 1, 1 - headline / height))
    figure = Plot(figsize=(width, height), layout=layout)
    left = 0.12 / width
    figure.text(left, 1 - 0.10 / height, title, fontsize=13, weight="bold", va="top")
    figure.text(left, 1 - 0.38 / height, subtitle, fontsize=9, color=GREY, va="top")
    if names:
        tones = [Line2D([], [], marker="o", linestyle="", color=tone, label=name) for name, tone in _toned(names)]
        legend = figure.legend(
            handles=tones, ncols=len(names), bbox_to_anchor=(0.04 / width, 1 - 0.55 / height), **_LEGEND
        )
        legend.set_in_layout(False)  # it would push the axes together
    return figure


def _toned(names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield from zip(names, shades(GREY, len(names)), strict=True)


def save(figure: Plot, file: str | os.PathLike[str] | None) -> Plot:
    """*figure*, written to *file* if there is one; without its date, so that equal figures are equal files."""
    if file is not None and str(file).lower().endswith(".png"):
        _save_small(figure, file)
    elif file is not None:
        figure.savefig(file, metadata={"Date": None} if str(file).lower().endswith(".svg") else None)
    return figure


def _save_small(figure: Plot, file: str | os.PathLike[str]) -> None:
    """A PNG with a palette: a third of the bytes, and nobody sees the difference."""
    from PIL import Image  # which matplotlib needs for its own PNGs

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, dpi=(_DPI, _DPI), optimize=True)


def shades(base: str, count: int) -> list[tuple[float, ...]]:
    """*count* tones of one colour, from light to dark: what is larger is darker."""
    tone = mpl.colors.to_rgb(base)
    paleness = [0.62 * (count - 1 - number) / max(count - 1, 1) for number in range(count)]
    return [tuple(part + (1 - part) * pale for part in tone) for pale in paleness]


def rows_on(axis: Any, names: Sequence[str]) -> None:
    """A line for each name, the first one on top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="x")
    for position in range(len(names)):
        axis.axhline(position, color=LINE, linewidth=0.8, zorder=0)


def legend_above(axis: Any) -> None:
    """What the tones of an axis mean, on the line of its title."""
    axis.legend(bbox_to_anchor=(1.02, 1.0), ncols=4, **{**_LEGEND, "loc": "lower right"})


def log_axis(axis: Any, wording: Callable[[float], str], values: Sequence[float]) -> None:
    """A logarithmic x axis over *values*, its ticks worded for people; at least one decade, so that noise does not look large."""
    low, high = _spanned(values, 10)
    axis.set_xscale("log")
    axis.set_xlim(low / 1.25, high * 1.25)
    _word_ticks(axis.xaxis, wording, high / low)


def coloured_cells(
    axis: Any, cells: Sequence[Sequence[float | None]], norm: Any, wording: Callable[[float], str]
) -> Any:
    """A field of *cells*, coloured by *norm* and with their values in words; what is missing stays empty."""
    values = [[math.nan if value is None else value for value in line] for line in cells]
    image = axis.imshow(values, norm=norm, cmap=_COLOURS, aspect="auto")
    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            if value is not None:
                ink = _ink_on(image.cmap(norm(value)))
                axis.text(column, row, wording(value), ha="center", va="center", fontsize=7, color=ink)
    axis.spines[:].set_visible(False)
    return image


def log_colours(values: Sequence[float]) -> Any:
    """A logarithmic scale of colours over *values*, at least a factor of two wide."""
    return LogNorm(*_spanned(values, 2))


def colour_bar(figure: Plot, image: Any, axes: Any, label: str, wording: Callable[[float], str]) -> None:
    """What the colours of *image* mean, below *axes*."""
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=60, shrink=0.6, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    _word_ticks(bar.ax.xaxis, wording, image.norm.vmax / image.norm.vmin)


def _spanned(values: Sequence[float], least: float) -> tuple[float, float]:
    """The range of *values*, widened on both sides until its end is *least* times its beginning."""
    low, high = min(values), max(values)
    spare = max(least * low / high, 1) ** 0.5
    return low / spare, high * spare


def _word_ticks(axis: Any, wording: Callable[[float], str], ratio: float) -> None:
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 40 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: wording(value).replace(".0 ", " ")))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _ink_on(colour: Sequence[float]) -> str:
    """The colour of text that can be read on *colour*."""
    luminance = sum(weight * part**2.2 for weight, part in zip((0.2126, 0.7152, 0.0722), colour, strict=False))
    return INK if luminance > 0.2 else PAPER  # where both have the same contrast


def time_text(seconds: float) -> str:
    """Seconds in few letters: ``3.1 µs``, ``24 ms``."""
    length, unit = next((scale for scale in reversed(_SCALES) if seconds >= 0.9995 * scale[0]), _SCALES[0])
    count = seconds / length
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def number_text(number: float) -> str:
    """A number in few digits: ``0.12``, ``3.1``, ``24``, ``1,300``."""
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.2g}"
