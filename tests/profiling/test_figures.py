"""The figures of a profile: what they show, that their axes say what is on them, and that they are saved as they look."""

import subprocess
import sys

import pytest

pd = pytest.importorskip("pandas", reason="the package pandas is not installed")
mpl = pytest.importorskip("matplotlib", reason="the package matplotlib is not installed")

METHODS = ["plot_engines", "plot_serializers", "plot_encodings", "plot_all"]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def one_size(profile):
    return profile[profile["Size (B)"] == 5000]


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def rows_of(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def medians(axis, case=0):
    return [x for x, _ in axis.collections[2 * case + 1].get_offsets()]


@pytest.mark.parametrize("method", METHODS)
def test_a_figure_comes_back_whose_axes_are_labelled(profile, method):
    figure = getattr(profile, method)()
    assert isinstance(figure, mpl.figure.Figure)
    assert all(axis.get_title(loc="left") for axis in figure.axes if axis.get_label() != "<colorbar>")
    assert any("time per value" in text or "MB/s of serialized bytes" in text for text in texts(figure))


@pytest.mark.parametrize("method", METHODS)
def test_it_is_saved_as_a_real_png_that_is_not_large(profile, method, tmp_path):
    from PIL import Image

    file = tmp_path / "figure.png"
    figure = getattr(profile, method)(file=file)
    assert file.read_bytes().startswith(SIGNATURE)
    assert file.stat().st_size < 200_000
    with Image.open(file) as image:
        assert image.size == tuple(int(150 * inches) for inches in figure.get_size_inches())
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.parametrize("method", ["plot_engines", "plot_all"])
def test_the_same_profile_gives_the_same_file(profile, method, tmp_path):
    for name in ("one.png", "two.png"):
        getattr(profile, method)(tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("name", ["figure.svg", "figure.pdf"])
def test_other_formats_go_by_the_name_of_the_file(profile, name, tmp_path):
    profile.plot_engines(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_engines_are_compared_by_the_medians_of_their_times(one_size):
    write, read = one_size.plot_engines().axes
    part = one_size[(one_size["Serializer"] == "hashstash") & (one_size["Encoding"] == "zlib")]
    for axis, operation in ((write, "Write"), (read, "Read")):
        assert axis.get_title(loc="left") == operation
        assert axis.get_xscale() == "log"
        wanted = part[part["Operation"] == operation].groupby("Engine")["Time (s)"].median()
        assert medians(axis) == pytest.approx([wanted[name] for name in rows_of(write)])
    assert medians(read) == sorted(medians(read))


def test_what_is_held_fixed_is_said_and_is_the_stashs_own(profile):
    assert any(
        text.startswith("hashstash, zlib; 200 B and 5 KB; median of 2") for text in texts(profile.plot_engines())
    )
    assert any(text.startswith("memory, zlib;") for text in texts(profile.plot_serializers()))
    assert any(text.startswith("memory, hashstash;") for text in texts(profile.plot_encodings()))


def test_something_else_may_be_held_fixed(one_size):
    figure = one_size.plot_engines(serializer="pickle", encoding="raw")
    assert any(text.startswith("pickle, raw; 5 KB") for text in texts(figure))
    part = one_size[(one_size["Serializer"] == "pickle") & (one_size["Encoding"] == "raw")]
    wanted = part[part["Operation"] == "Read"].groupby("Engine")["Time (s)"].median()
    assert medians(figure.axes[1]) == pytest.approx([wanted[name] for name in rows_of(figure.axes[0])])


def test_what_was_not_measured_cannot_be_held_fixed(profile):
    with pytest.raises(ValueError, match="serializer='dill' was not measured; there are 'hashstash', 'pickle'"):
        profile.plot_engines(serializer="dill")


def test_encodings_are_ordered_by_what_they_store(one_size):
    stored, encode, decode = one_size.plot_encodings().axes
    assert rows_of(stored) == ["zlib", "zlib+b64", "raw", "raw+b64"]
    part = one_size[(one_size["Engine"] == "memory") & (one_size["Serializer"] == "hashstash")]
    ratios = part.groupby("Encoding")["Compression Ratio (%)"].median()
    assert medians(stored) == pytest.approx([ratios[name] for name in rows_of(stored)])
    assert stored.get_xlim()[0] == 0
    speeds = part[part["Operation"] == "Decode Value"].groupby("Encoding")["Speed (MB/s)"].median()
    assert medians(decode) == pytest.approx([speeds[name] for name in rows_of(stored)])


def test_serializers_are_compared_to_the_smallest(one_size):
    sizes, _, _ = one_size.plot_serializers().axes
    assert min(medians(sizes)) == pytest.approx(100)


def test_with_several_sizes_all_of_them_decide_about_the_order(profile):
    part = profile[profile["Encoding"] == "zlib"].copy()
    reads = part["Operation"] == "Read"
    for engine, small, large in (("memory", 1e-3, 1e-3), ("pairtree", 1e-6, 2e-3), ("sqlite", 1e-3, 3e-3)):
        here = reads & (part["Engine"] == engine)
        part.loc[here & (part["Size (B)"] == 200), "Time (s)"] = small
        part.loc[here & (part["Size (B)"] == 5000), "Time (s)"] = large
    assert rows_of(part.plot_engines().axes[0]) == ["pairtree", "memory", "sqlite"]


def test_values_of_a_single_size_are_written_beside_their_dots(one_size):
    figure = one_size.plot_encodings()
    assert sum(text.endswith(" %") for text in texts(figure)) >= 4
    assert all(axis.get_legend() is None for axis in figure.axes)


def test_several_sizes_have_a_tone_each_and_a_legend(profile):
    write, _ = profile.plot_engines().axes
    assert [text.get_text() for text in write.get_legend().get_texts()] == ["200 B", "5 KB"]
    tones = [tuple(collection.get_facecolor()[0]) for collection in write.collections[1::2]]
    assert len(set(tones)) == 2


def test_own_values_stand_above_the_panels_with_their_names(one_size, tmp_path):
    names = ["costs $5 or $6", "a name that is much longer than what there is room for"]
    both = pd.concat([one_size.assign(Value=name) for name in names])
    figure = both.plot_encodings(tmp_path / "figure.png")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("costs $5 or $6 (5 KB)", "a name that is much lon… (5 KB)")
    ]
    assert all(axis.get_window_extent().width > 300 for axis in figure.axes)


def test_too_many_sizes_are_refused(profile):
    many = pd.concat([profile.assign(**{"Size (B)": size}) for size in range(100, 107)])
    with pytest.raises(ValueError, match="7 sizes are too many for one figure"):
        many.plot_engines()


def test_all_settings_have_a_cell_with_their_time(profile):
    figure = profile.plot_all()
    fields = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title(loc="left") for axis in fields] == [
        *("Write, hashstash", "Write, pickle", "Read, hashstash", "Read, pickle")
    ]
    assert all(axis.images[0].get_array().shape == (3, 4) for axis in fields)
    large = profile[(profile["Size (B)"] == 5000) & (profile["Operation"] == "Read")]
    times = large.groupby(["Engine", "Serializer", "Encoding"])["Time (s)"].median()
    assert fields[3].images[0].get_array()[1, 2] == pytest.approx(times["pairtree", "pickle", "zlib"])
    assert any(text.startswith("5 KB") for text in texts(figure))


def test_another_size_may_be_shown_in_it(profile):
    assert any(text.startswith("200 B") for text in texts(profile.plot_all(size=200)))
    with pytest.raises(ValueError, match="size=7 was not measured; there are 200, 5000"):
        profile.plot_all(size=7)


def test_settings_that_were_not_measured_stay_empty(one_size):
    part = one_size[~((one_size["Engine"] == "sqlite") & (one_size["Encoding"] == "zlib"))]
    field = part.plot_all().axes[0].images[0].get_array()
    assert field.mask.sum() == 1


def test_one_setting_alone_can_be_drawn(one_size):
    part = one_size[(one_size["Engine"] == "memory") & (one_size["Serializer"] == "pickle")]
    part = part[(part["Encoding"] == "raw") & (part["Iteration"] == 1)]
    for method in METHODS:
        assert any("measured once" in text for text in texts(getattr(part, method)()))


def test_nothing_cannot_be_drawn(profile):
    with pytest.raises(ValueError, match="there is nothing to be drawn"):
        profile[profile["Engine"] == "none"].plot_all()


def test_the_users_style_neither_changes_a_figure_nor_is_changed(profile, tmp_path):
    profile.plot_engines(tmp_path / "plain.png")
    with mpl.style.context("dark_background"):
        profile.plot_engines(tmp_path / "dark.png")
        assert mpl.rcParams["axes.facecolor"] == "black"
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "dark.png").read_bytes()


def test_a_figure_saved_by_hand_keeps_its_background_in_a_dark_style(profile, tmp_path):
    from PIL import Image

    with mpl.style.context("dark_background"):
        profile.plot_engines().savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_a_notebook_without_pyplot_shows_it(profile):
    assert profile.plot_engines()._repr_png_().startswith(SIGNATURE)


@pytest.mark.slow
def test_pyplot_is_not_needed():
    code = """
import sys, pandas as pd
from hashstash.profiling.pandas import frame_of, COLUMNS
rows = [{**dict.fromkeys(COLUMNS, 1), "Engine": "a", "Serializer": "b", "Encoding": "c", "Operation": name}
        for name in ("Write", "Read", "Encode Value", "Decode Value")]
frame_of(rows, own={}, left_out=(), counts=(1, 1)).plot_engines()
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
