"""``Profile``: what was measured, as a DataFrame that also sums itself up and draws figures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency

try:
    import pandas as pd
except ImportError as missing:
    raise MissingDependency("a profile needs the package 'pandas': pip install 'hashstash[plot]'") from missing

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

SETTING = ["Engine", "Serializer", "Encoding"]
SIZES = ["Size (B)", "Raw Size (B)", "Cached Size (B)", "Compression Ratio (%)"]
COLUMNS = [*SETTING, *SIZES, "Iteration", "Operation", "Time (s)", "Rate (it/s)", "Speed (MB/s)"]
_OWN, _LEFT_OUT, _COUNTS = "own setting", "left out", "measured"


class Profile(pd.DataFrame):  # type: ignore[misc]
    """One row for each operation on one value in one setting; made by ``stash.profile()``.

    *Size (B)*: the bytes that were asked for. *Raw Size (B)*: those of the serialized value, *Cached Size (B)*: those that its
    entry takes in the storage, header and key included; *Compression Ratio (%)*: the second in percent of the first. *Speed
    (MB/s)*: raw bytes in a second, also for the operations on keys, so that all speeds of a setting compare.

    What is taken out of a profile is one as long as it has all these columns, else an ordinary DataFrame.
    """

    @property
    def _constructor(self) -> Any:
        return profile_or_frame

    @property
    def left_out(self) -> tuple[str, ...]:
        """What could not be measured and was not asked for by name, and why."""
        return tuple(self.attrs.get(_LEFT_OUT, ()))

    def summary(self) -> Any:
        """The medians of each setting: sizes, and seconds of each operation; the settings in the order of measuring."""
        return summary_of(self._whole())

    def plot_engines(
        self, file: str | os.PathLike[str] | None = None, *, serializer: str | None = None, encoding: str | None = None
    ) -> Any:
        """A figure of how long writing and reading take by engine, with one serializer and encoding: by default the stash's own.

        Where those were not measured it is the ones that were measured first. *file*: where to save it too, as PNG, SVG or PDF. A
        matplotlib ``Figure`` comes back.
        """
        from hashstash.profiling.plots import plot_engines

        return plot_engines(self._whole(), file, {"Serializer": serializer, "Encoding": encoding})

    def plot_serializers(
        self, file: str | os.PathLike[str] | None = None, *, engine: str | None = None, encoding: str | None = None
    ) -> Any:
        """A figure of size and speed by serializer, in one engine with one encoding: the stash's own."""
        from hashstash.profiling.plots import plot_serializers

        return plot_serializers(self._whole(), file, {"Engine": engine, "Encoding": encoding})

    def plot_encodings(
        self, file: str | os.PathLike[str] | None = None, *, engine: str | None = None, serializer: str | None = None
    ) -> Any:
        """A figure of size and speed by encoding, in one engine with one serializer: the stash's own."""
        from hashstash.profiling.plots import plot_encodings

        return plot_encodings(self._whole(), file, {"Engine": engine, "Serializer": serializer})

    def plot_all(self, file: str | os.PathLike[str] | None = None, *, size: int | None = None) -> Any:
        """A figure of all settings: how long writing and reading a value of *size* takes, by default of the largest one."""
        from hashstash.profiling.plots import plot_all

        return plot_all(self._whole(), file, size)

    def _whole(self) -> Profile:
        """Itself; ValueError if it lost columns on the way."""
        missing = [name for name in COLUMNS if name not in self.columns]
        if missing:
            raise ValueError(
                f"a profile without its column {', '.join(missing)} has no summary and no figures; "
                "if it is the index now, reset_index() makes it a column again"
            )
        return self

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *self._notes()])

    def _repr_html_(self) -> str | None:
        table = super()._repr_html_()
        if table is None:
            return None
        notes = "".join(f"<div>{escape(note)}</div>" for note in self._notes())
        return f"<div>{escape(self._title())}</div>{table}{notes}"

    def _title(self) -> str:
        if not set(COLUMNS).issubset(self.columns):
            return "Part of a profile"
        settings, iterations = len(self.groupby(SETTING)), self["Iteration"].nunique()
        return f"Profile of {settings:,} settings, {iterations:,} iterations; .summary() has the medians"

    def _notes(self) -> list[str]:
        measured, total = self.attrs.get(_COUNTS, (0, 0))
        notes = [f"interrupted: {measured:,} of {total:,} measurements"] if measured < total else []
        return [*notes, *(f"left out: {reason}" for reason in self.left_out)]


def profile_or_frame(*args: Any, **kwargs: Any) -> Any:
    """A Profile if all of its columns are there, else an ordinary DataFrame: what pandas makes of parts of a profile."""
    frame = pd.DataFrame(*args, **kwargs)
    return Profile(frame) if set(COLUMNS).issubset(frame.columns) else frame


def frame_of(
    rows: list[dict[str, Any]], *, own: Mapping[str, str], left_out: tuple[str, ...], counts: tuple[int, int]
) -> Profile:
    """The profile of measured *rows*; *own* is the setting of the stash that was profiled, *counts* are done and wanted."""
    profile = Profile(pd.DataFrame.from_records(rows))
    profile.attrs = {_OWN: dict(own), _LEFT_OUT: list(left_out), _COUNTS: list(counts)}
    return profile


def cases_of(profile: Any) -> list[str]:
    """The columns that say which value was measured."""
    return [name for name in ("Value", "Size (B)") if name in profile.columns]


def summary_of(profile: Any) -> Any:
    """See :meth:`Profile.summary`."""
    frame = pd.DataFrame(profile)
    by = [*SETTING, *cases_of(profile)]
    sizes = frame.groupby(by, sort=False)[[name for name in SIZES if name not in by]].median()
    times = frame.pivot_table("Time (s)", index=by, columns="Operation", aggfunc="median", sort=False)
    times.columns = [f"{name} (s)" for name in times.columns]
    return sizes.join(times)


def spread(profile: Any, column: str, by: list[str]) -> dict[tuple[Any, ...], tuple[float, float, float]]:
    """Median, least and most of *column*, by the values of the columns *by*, in their order in the profile."""
    found = pd.DataFrame(profile).groupby(by, sort=False)[column].agg(["median", "min", "max"])
    keys = found.index if len(by) > 1 else [(key,) for key in found.index]
    return dict(zip(keys, found.itertuples(index=False, name=None), strict=True))


def own_setting(profile: Any) -> dict[str, str]:
    """The setting of the stash that was profiled, as far as it was measured, else the one that was measured first."""
    own = profile.attrs.get(_OWN, {})
    return {name: own[name] if own.get(name) in set(profile[name]) else str(profile[name].iloc[0]) for name in SETTING}
