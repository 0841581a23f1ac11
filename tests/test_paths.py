import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashstash import paths
from hashstash.errors import UnsafeName

NAMES = [
    "plain",
    "v1.0",
    "with space",
    "ünïcode",
    "日本",
    "\ud800",
    "a%2Fb",
    "@history",
    "x" * 500,
    "é" * 200,
    "-",
    "...",
    "a\nb",
    ".hidden",
]
LEAVING = ["..", ".", "../up", "a/../b", "a/..", "nul\0", "a/nul\0", "a/./b"]


def test_the_roots_follow_the_environment(private_home):
    assert paths.cache_root() == str(private_home / "cache" / "hashstash")
    assert paths.state_root() == str(private_home / "state" / "hashstash")
    assert paths.config_root() == str(private_home / "config" / "hashstash")


@pytest.mark.parametrize(
    "variable, root, expected",
    [
        ("XDG_CACHE_HOME", paths.cache_root, ".cache/hashstash"),
        ("XDG_STATE_HOME", paths.state_root, ".local/state/hashstash"),
        ("XDG_CONFIG_HOME", paths.config_root, ".config/hashstash"),
    ],
)
def test_without_the_environment_they_lie_in_the_home(monkeypatch, tmp_path, variable, root, expected):
    monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root() == str(tmp_path / expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_folder_in_its_parent(tmp_path, name):
    folder = tmp_path / paths.safe_name(name)
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 100 and name != "\ud800"])
def test_a_name_can_be_read_back(name):
    assert paths.original_name(paths.safe_name(name)) == name


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_that_leaves_its_parent_is_refused(name):
    with pytest.raises(UnsafeName, match=r"outside|NUL"):
        paths.safe_parts(name)


@pytest.mark.parametrize("name", ["", "/", "//"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(UnsafeName, match="names nothing"):
        paths.safe_parts(name)


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_never_share_a_folder(one, other):
    def folder(name):
        try:
            return paths.safe_name(name)
        except UnsafeName:
            return ("unsafe", name)

    assert (folder(one) == folder(other)) == (one == other)


@given(st.text(alphabet=st.characters(min_codepoint=1), min_size=1))
def test_any_text_gives_a_short_plain_folder_name_or_is_refused(name):
    try:
        folder = paths.safe_name(name)
    except UnsafeName:
        assert name in (".", "..") or "/" in name
    else:
        assert len(folder) <= 120
        assert folder.isascii()
        assert not set(folder) & set("/\0 \n")


def test_long_names_differ_even_when_they_begin_alike():
    assert paths.safe_name("x" * 300 + "a") != paths.safe_name("x" * 300 + "b")


@pytest.mark.parametrize("name", ["a", "a/b", "v1.0", "a//b/", "~x" * 0 + "tilde~"])
def test_a_name_lies_under_the_base(tmp_path, name):
    root = paths.resolve_root(name, str(tmp_path))
    assert os.path.commonpath([root, tmp_path]) == str(tmp_path)


@pytest.mark.parametrize("typed", [".", "..", "./x", "../x"])
def test_a_typed_relative_path_is_taken_from_the_working_directory(monkeypatch, tmp_path, typed):
    monkeypatch.chdir(tmp_path)
    assert paths.resolve_root(typed, "/base") == os.path.normpath(os.path.join(tmp_path, typed))


def test_a_typed_absolute_path_is_taken_as_it_is(tmp_path):
    assert paths.resolve_root(str(tmp_path / "a" / ".." / "b")) == str(tmp_path / "b")


def test_a_tilde_is_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.resolve_root("~/x") == str(tmp_path / "x")
    assert paths.resolve_root("~") == str(tmp_path)


def test_a_path_object_is_a_path(tmp_path):
    assert paths.resolve_root(tmp_path / "x") == str(tmp_path / "x")


@pytest.mark.parametrize("root", ["", "a\0b", "/a\0b"])
def test_what_is_no_folder_is_refused(root):
    with pytest.raises(UnsafeName):
        paths.resolve_root(root)


@pytest.mark.parametrize("root", [b"bytes", 5, ["a"]])
def test_what_is_no_name_is_refused(root):
    with pytest.raises(TypeError, match="a name or a path"):
        paths.resolve_root(root)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folders_and_files_are_private_under_any_umask(tmp_path, umask):
    folder = tmp_path / "a" / "b" / "c"
    before = os.umask(umask)
    try:
        paths.make_folder(str(folder))
        os.close(paths.create_file(str(folder / "file")))
    finally:
        os.umask(before)
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b", folder, folder / "file")
    ]
    assert modes == [0o700, 0o700, 0o700, 0o600]


def test_an_existing_folder_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    paths.make_folder(str(tmp_path / "new"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_in_the_way_of_a_folder_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        paths.make_folder(str(tmp_path / "file" / "below"))


def test_a_file_is_created_once(tmp_path):
    os.close(paths.create_file(str(tmp_path / "x")))
    with pytest.raises(FileExistsError):
        paths.create_file(str(tmp_path / "x"))


def test_a_file_is_not_created_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        paths.create_file(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode, expected", [(0o700, False), (0o755, False), (0o777, True), (0o1777, False)])
def test_a_folder_that_everybody_may_write_is_foreign(tmp_path, mode, expected):
    tmp_path.chmod(mode)
    assert paths.is_foreign(str(tmp_path)) is expected


def test_a_folder_that_does_not_exist_is_not_foreign(tmp_path):
    assert not paths.is_foreign(str(tmp_path / "none"))


def test_the_home_is_shown_as_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.shown(str(tmp_path / "x")) == "~/x"
    assert paths.shown(str(tmp_path) + "x") == str(tmp_path) + "x"


def test_a_local_folder_is_no_shared_mount(tmp_path):
    assert paths.is_shared_mount("/proc") is False
    assert isinstance(paths._mount_type(str(tmp_path)), str)
