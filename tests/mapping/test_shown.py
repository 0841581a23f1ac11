"""How a map and its runs are shown: at once, without a fault, in little room."""

import html.parser
import os
import re
import time

import pytest


def f(name, goodnesses=()):
    return name * len(goodnesses)


def mapped(stash, *args, **options):
    return stash.map(*args, **{"num_proc": 1, "progress": False, **options})


@pytest.fixture
def pets(stash):
    f.__module__, f.__qualname__ = "__main__", "f"
    yield mapped(stash, f, ["cat", "elephant"], precompute=False, goodnesses=["good", "bad"])
    f.__module__, f.__qualname__ = __name__, "f"


class TestText:
    def test_pending_items_have_a_question_mark(self, pets):
        assert repr(pets) == (
            "StashMap([StashMapRun(__main__.f('cat', goodnesses=['good', 'bad']) >>> ?),\n"
            "          StashMapRun(__main__.f('elephant', goodnesses=['good', 'bad']) >>> ?)])"
        )

    def test_finished_items_have_their_result(self, pets):
        assert pets.wait()
        assert repr(pets).splitlines()[0].endswith(">>> 'catcat'),")

    def test_a_run_is_shown_alone(self, pets):
        assert repr(pets.runs[0]) == "StashMapRun(__main__.f('cat', goodnesses=['good', 'bad']) >>> ?)"

    def test_an_empty_map_is_an_empty_list(self, stash):
        assert repr(mapped(stash, f, [])) == "StashMap([])"

    def test_after_ten_runs_the_others_are_counted(self, stash):
        lines = repr(mapped(stash, f, range(13), precompute=False)).splitlines()
        assert len(lines) == 11
        assert lines[-1] == "          ... 3 more])"
        assert "... " not in repr(mapped(stash, f, range(10), precompute=False))

    @pytest.mark.parametrize("value", ["x" * 1000, list(range(1000)), {"k": "x" * 1000}, b"x" * 1000], ids=type)
    def test_long_arguments_and_results_are_cut_to_80_characters(self, stash, value):
        text = repr(mapped(stash, lambda x: x, [value]))
        call, result = text.removeprefix("StashMap([StashMapRun(").removesuffix(")])").split(" >>> ")
        assert len(call) <= 80
        assert len(result) <= 80
        assert call.endswith("…")

    def test_a_long_name_of_a_function_leaves_room_for_the_arguments(self, stash):
        assert "<lambda>('cat') >>> 'cat'" in repr(mapped(stash, lambda x: x, ["cat"]))

    def test_large_things_are_named_by_kind_and_shape(self, stash):
        numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")
        assert "<ndarray 1000 x 2>" in repr(mapped(stash, lambda x: x, [numpy.zeros((1000, 2))]))

    def test_several_lines_become_one(self, stash):
        class Poem:
            def __repr__(self):
                return "one\n\ttwo\x1b[31m"

        made = mapped(stash, lambda x: Poem(), [1], stash_runs=False, stash_map=False)
        assert ">>> one two" in repr(made)
        assert "\x1b" not in repr(made)

    def test_a_repr_that_fails_is_the_name_of_the_class(self, stash, noted):
        made, _ = noted(lambda: mapped(stash, lambda x: x, [Unshowable()]))
        assert repr(made).endswith("<lambda>(<Unshowable>) >>> <Unshowable>)])")

    def test_failed_items_show_their_error(self, stash):
        made = mapped(stash, lambda x: 1 / x, [0])
        assert repr(made).endswith(">>> ZeroDivisionError('division by zero'))])")

    def test_cancelled_items_say_so(self, stash, tmp_path):
        gate = str(tmp_path / "gate")
        made = mapped(stash, waiting, [1], executor="threads", num_proc=1, gate=gate)
        made.cancel()
        assert repr(made).endswith(">>> cancelled)])")
        open(gate, "w").close()


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def waiting(x, gate):
    while not os.path.exists(gate) and os.path.exists(os.path.dirname(gate)):
        time.sleep(0.002)
    return x


class Reader(html.parser.HTMLParser):
    """Reads HTML, minding that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], set(), ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


class TestHtml:
    def test_it_shows_call_result_state_and_time(self, stash):
        mapped(stash, f, ["cat"], goodnesses="ab")
        page = Reader(mapped(stash, f, ["cat", "dog"], goodnesses="ab")._repr_html_())
        assert page.tags.count("tr") == 3
        for part in (
            "StashMap   tests.mapping.test_shown.f",
            "2/2",
            "1 cached",
            "'catcat'",
            "cached",
            "computed",
            "ms",
        ):
            assert part in page.text

    def test_it_is_plain(self, stash):
        page = Reader(mapped(stash, f, range(3), precompute=False)._repr_html_())
        assert not {"script", "style", "iframe"} & set(page.tags)
        assert page.attributes <= {"open", "style"}
        colours = set(re.findall(r"color:([^;\"]*)", mapped(stash, f, [1], precompute=False)._repr_html_()))
        assert colours == {"inherit"}

    def test_everything_is_escaped(self, stash):
        evil = "<script>alert('x')</script>&"
        text = mapped(stash, lambda x, **_: x, [evil], kwargs={"<i>": "</td>"})._repr_html_()
        assert "<script>" not in text
        assert "<i>" not in text
        assert "&lt;script&gt;" in text
        Reader(text)

    def test_long_maps_show_their_beginning(self, stash):
        page = Reader(mapped(stash, f, range(2000), precompute=False)._repr_html_())
        assert page.tags.count("tr") == 11
        assert "1,990 more" in page.text

    def test_an_empty_map_says_so(self, stash):
        assert "no items" in Reader(mapped(stash, f, [])._repr_html_()).text

    def test_a_failed_item_shows_its_error(self, stash):
        page = Reader(mapped(stash, lambda x: 1 / x, [0])._repr_html_())
        assert "failed" in page.text
        assert "ZeroDivisionError" in page.text

    def test_it_computes_and_waits_for_nothing(self, stash, calls):
        late = mapped(stash, calls.append, [1], precompute=False)
        page = Reader(late._repr_html_())
        assert calls == []
        assert "?" in page.text
        assert "pending" in page.text

    def test_a_run_is_a_table_of_one_row(self, stash):
        page = Reader(mapped(stash, f, ["cat"]).runs[0]._repr_html_())
        assert page.tags.count("tr") == 2
