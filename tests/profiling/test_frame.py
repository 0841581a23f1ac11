"""``Profile``: a frame whose parts are frames, which sums itself up and says what is not in it."""

import pickle

import pytest

from hashstash.errors import MissingDependency

pd = pytest.importorskip("pandas", reason="the package pandas is not installed")


@pytest.mark.parametrize(
    "part",
    [
        lambda profile: profile[profile["Engine"] == "memory"],
        lambda profile: profile.query("Operation == 'Read'"),
        lambda profile: profile.iloc[:7],
        lambda profile: profile.copy(),
        lambda profile: profile.sort_values("Time (s)"),
        lambda profile: profile.assign(Machine="mine"),
        lambda profile: pickle.loads(pickle.dumps(profile)),
        lambda profile: profile.reset_index(drop=True),
        lambda profile: profile.groupby("Engine").head(2),
    ],
)
def test_rows_of_a_profile_are_a_profile(profile, part):
    assert type(part(profile)).__name__ == "Profile"
    assert part(profile).attrs == profile.attrs


@pytest.mark.parametrize(
    "part",
    [
        lambda profile: profile[["Engine", "Time (s)"]],
        lambda profile: profile.T,
        lambda profile: profile.groupby("Engine").median(numeric_only=True),
        lambda profile: profile.describe(),
        lambda profile: profile.summary(),
    ],
)
def test_what_is_no_profile_any_more_is_an_ordinary_frame(profile, part):
    assert type(part(profile)) is pd.DataFrame


@pytest.mark.parametrize("method", ["summary", "plot_engines", "plot_serializers", "plot_encodings", "plot_all"])
def test_without_its_columns_it_still_shows_and_says_what_it_needs(profile, method):
    part = profile.set_index("Engine")
    assert "Serializer" in repr(part)
    assert "Serializer" in part._repr_html_()
    with pytest.raises(ValueError, match="a profile without its column Engine"):
        getattr(part, method)()


def test_a_column_is_a_series(profile):
    assert type(profile["Time (s)"]) is pd.Series


def test_profiles_may_be_joined(profile):
    both = pd.concat([profile.assign(Machine="a"), profile.assign(Machine="b")], ignore_index=True)
    assert type(both).__name__ == "Profile"
    assert len(both) == 2 * len(profile)


def test_the_summary_has_the_medians_of_each_setting(profile):
    summary = profile.summary()
    assert list(summary.index.names) == ["Engine", "Serializer", "Encoding", "Size (B)"]
    assert len(summary) == 48
    pickled = profile[profile["Serializer"] == "pickle"]
    rows = pickled[(pickled["Engine"] == "pairtree") & (pickled["Encoding"] == "zlib") & (pickled["Size (B)"] == 5000)]
    found = summary.loc["pairtree", "pickle", "zlib", 5000]
    assert found["Read (s)"] == rows[rows["Operation"] == "Read"]["Time (s)"].median()
    assert found["Cached Size (B)"] == rows["Cached Size (B)"].iloc[0]
    assert [name for name in summary.columns if name.endswith("(s)")] == [
        *("Encode Key (s)", "Decode Key (s)", "Encode Value (s)", "Decode Value (s)", "Write (s)", "Read (s)")
    ]


def test_the_summary_of_own_values_names_them(tmp_path):
    from hashstash import HashStash

    profile = HashStash(tmp_path, engine="memory").profile(
        engine="memory", serializer="pickle", compress="raw", values={"a": 1, "b": [2]}, iterations=1, progress=False
    )
    assert list(profile.summary().index.get_level_values("Value")) == ["a", "b"]


def test_as_html_it_is_a_table_that_says_what_it_is(profile):
    html = profile._repr_html_()
    assert "<table" in html
    assert "Profile of 24 settings, 2 iterations" in html


def test_what_was_left_out_is_said_and_escaped(profile):
    part = profile.copy()
    part.attrs["left out"] = ["the engine <b>x</b> needs a server"]
    assert part.left_out == ("the engine <b>x</b> needs a server",)
    assert "left out: the engine <b>x</b> needs a server" in repr(part)
    assert "left out: the engine &lt;b&gt;x&lt;/b&gt; needs a server" in part._repr_html_()


def test_an_empty_part_can_be_shown(profile):
    nothing = profile[profile["Engine"] == "none"]
    assert "Profile of 0 settings" in nothing._repr_html_()
    assert repr(nothing)
    assert len(nothing.summary()) == 0


def test_without_matplotlib_the_pip_line_is_given(profile, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("hashstash.profiling.matplotlib", "hashstash.profiling.plots"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(
        MissingDependency, match="figures need the package 'matplotlib': pip install 'hashstash\\[plot\\]'"
    ):
        profile.plot_engines()
