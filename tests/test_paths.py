import mmap
import os
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashstash import HashStash, paths
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
    monkeypatch.setenv(variable, "beside/the/notebook")  # relative ones are ignored, as the standard has it
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


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder to a group of others")
@pytest.mark.parametrize("mode, expected", [(0o770, True), (0o1770, False), (0o750, False)])
def test_a_folder_that_a_group_of_others_may_write_is_foreign(tmp_path, mode, expected):
    os.chown(tmp_path, -1, 54321)
    tmp_path.chmod(mode)
    assert paths.is_foreign(str(tmp_path)) is expected


def test_a_folder_that_only_this_users_own_group_may_write_is_not_foreign(tmp_path):
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    user = pwd.getpwuid(os.getuid())
    if grp.getgrgid(user.pw_gid).gr_name != user.pw_name:
        pytest.skip("this system gives users no groups of their own")
    os.chown(tmp_path, -1, user.pw_gid)
    tmp_path.chmod(0o770)
    assert not paths.is_foreign(str(tmp_path))


@pytest.mark.parametrize("inner", ["", "pairtree.hashstash.raw", "pairtree.hashstash.raw/data.db"])
def test_what_others_may_write_to_is_said_once_where_the_user_opens_it(tmp_path, inner):
    def opened():
        return HashStash(tmp_path / "shared", engine="pairtree", compress="raw")

    opened().run(max, 1, 2)
    (tmp_path / "shared" / inner).chmod(0o777)
    with pytest.warns(RuntimeWarning, match=f"shared{'/' * bool(inner)}{inner} .*written by other users") as said:
        stash = opened()
    assert [one.filename for one in said] == [__file__]
    stash.run(max, 1, 2)  # a second warning would be an error here
    stash.check()
    HashStash(tmp_path / "shared", "inner", engine="pairtree")


def test_a_folder_that_does_not_exist_is_not_foreign(tmp_path):
    assert not paths.is_foreign(str(tmp_path / "none"))


def test_a_folder_of_files_and_folders_leads_nowhere(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    paths.refuse_links(str(tmp_path))
    paths.refuse_links(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    "make",
    [lambda path: path.symlink_to("elsewhere"), lambda path: path.symlink_to(path.parent.parent), os.mkfifo],
    ids=["dangling link", "link", "pipe"],
)
def test_what_may_lead_anywhere_is_refused_with_its_name(tmp_path, make):
    make(tmp_path / "away")
    with pytest.raises(UnsafeName, match="away is .* may lead anywhere"):
        paths.refuse_links(str(tmp_path))


def test_a_linked_folder_is_refused_itself(tmp_path):
    (tmp_path / "away").symlink_to(tmp_path)
    with pytest.raises(UnsafeName, match="away is a symbolic link"):
        paths.refuse_links(str(tmp_path / "away"))


@pytest.mark.parametrize("place", ["tmp", "@meta/tmp", "blobs", "locks", "ab"])
def test_nothing_is_swept_or_written_behind_a_link_in_a_stash(tmp_path, place):
    """Drafts and blobs that look abandoned are removed at opening: those of a stash, and nobody's letters."""
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "old").write_text("dear")
    os.utime(letters / "old", (1, 1))
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    folder = Path(stash.path)
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).symlink_to(letters)
    with pytest.raises(UnsafeName):
        HashStash(tmp_path / "stash", engine="pairtree").store.engine.section("meta").get(b"stash")
    assert [path.name for path in letters.iterdir()] == ["old"]


def test_the_home_is_shown_as_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.shown(str(tmp_path / "x")) == "~/x"
    assert paths.shown(str(tmp_path) + "x") == str(tmp_path) + "x"


# ---- mounts ----------------------------------------------------------------------------------------------------------

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:50 / /data rw,relatime shared:2 master:1 - nfs4 server:/export rw,vers=4.2
41 27 0:51 / /content/drive rw,nosuid - fuse.drive drive rw,user_id=0
42 27 0:52 / /mnt/c rw,noatime - 9p drvfs rw,dirsync,aname=drvfs;path=C:\;uid=0
43 27 0:53 / /with\040space/and\134slash rw - cifs //server/share rw
44 40 254:1 / /data/local rw - xfs /dev/vdb rw
45 27 254:0 /srv/x /bound rw - ext4 /dev/vda rw
46 27 0:50 /sub /bound/nfs rw - nfs4 server:/export rw
47 27 0:60 / /container rw - overlay overlay rw,lowerdir=/a
48 27 0:61 / /rootless rw - fuse.fuse-overlayfs fuse-overlayfs rw
49 27 0:62 / /ntfs rw - fuseblk /dev/sdb1 rw
50 27 0:63 / /tmpfs rw - tmpfs tmpfs rw
51 27 0:64 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home
52 27 0:65 / /pool rw - zfs pool rw
53 27 0:66 / /hidden/below rw - nfs server:/old rw
54 27 254:7 / /hidden rw - ext4 /dev/vdc rw
55 27 0:67 / /twice rw - autofs systemd-1 rw
56 55 0:68 / /twice rw - cifs //server/x rw
57 27 0:69 / /host rw - virtiofs share rw
a line that nobody understands
58 27
"""

MOUNTS = {
    "/data": "nfs4",
    "/data/x/y": "nfs4",
    "/database": None,
    "/data/local/x": None,
    "/content/drive/MyDrive/x": "fuse.drive",
    "/content": None,
    "/mnt/c/Users/me": "9p",
    "/mnt/cc": None,
    "/with space/and\\slash/x": "cifs",
    "/bound/x": None,
    "/bound/nfs/x": "nfs4",
    "/container/x": None,
    "/rootless/x": None,
    "/ntfs/x": "fuseblk",
    "/tmpfs/x": None,
    "/home/me": None,
    "/pool/x": None,
    "/twice/x": "cifs",
    "/host/x": "virtiofs",
    "/": None,
}


@pytest.fixture
def mounts(monkeypatch):
    """What the system says is mounted, in this test."""

    def say(table):
        monkeypatch.setattr(paths, "_mount_table", lambda: table)

    return say


@pytest.mark.parametrize("path", MOUNTS)
def test_the_mount_that_a_path_lies_on_is_known(mounts, monkeypatch, path):
    mounts(TABLE)
    monkeypatch.setattr(paths, "_device_of", lambda _: "")
    found = paths.shared_mount(path)
    assert (found.split()[1] if found else None) == MOUNTS[path]
    assert paths.is_shared_mount(path) is bool(found)


def test_what_was_hidden_by_a_later_mount_is_told_by_its_device(mounts, monkeypatch):
    mounts(TABLE)
    monkeypatch.setattr(paths, "_device_of", lambda _: "254:7")
    assert paths.shared_mount("/hidden/below/x") is None
    monkeypatch.setattr(paths, "_device_of", lambda _: "0:66")
    assert paths.shared_mount("/hidden/below/x") == "the nfs mount /hidden/below"


def test_a_path_that_does_not_exist_yet_lies_where_its_parent_does(mounts, tmp_path):
    device = os.stat(tmp_path).st_dev
    mounts(f"1 0 {os.major(device)}:{os.minor(device)} / {tmp_path} rw - nfs4 server:/x rw")
    assert paths.is_shared_mount(str(tmp_path / "not" / "yet"))


def test_a_link_lies_where_it_leads(mounts, tmp_path):
    (tmp_path / "mounted").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mounted")
    mounts(f"1 0 0:1 / {tmp_path}/mounted rw - nfs4 server:/x rw\n2 0 0:2 / / rw - ext4 disk rw")
    assert paths.is_shared_mount(str(tmp_path / "link" / "new"))
    assert not paths.is_shared_mount(str(tmp_path / "other"))


def test_without_a_table_of_mounts_nothing_is_shared(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_MOUNTS", str(tmp_path / "missing"))
    assert paths.shared_mount(str(tmp_path)) is None


def test_a_share_of_windows_is_known_by_its_name():
    assert paths.shared_mount(r"\\server\share\folder") == r"the network share \\server\share\folder"


def test_what_this_system_says_of_its_own_folders(tmp_path):
    assert not paths.is_shared_mount("/proc")
    assert not paths.is_shared_mount("/dev/shm/x")


def in_own_mounts(script, *arguments):
    """What *script* prints in a process with mounts of its own; skips where none can be made."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, *map(str, arguments)]
    if os.getuid() == 0:
        command[1:3] = []
    if shutil.which("unshare") is None:
        pytest.skip("the program unshare is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if "mount" in done.stderr and "Traceback" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


ASK = f"{sys.executable} -c 'import sys; from hashstash import paths; print(paths.shared_mount(sys.argv[1]))'"


def test_a_real_memory_file_system_is_a_local_one(tmp_path):
    assert in_own_mounts(f'mount -t tmpfs none "$0"; {ASK} "$0/new/folder"', tmp_path) == "None\n"


def test_a_real_overlay_is_a_local_one(tmp_path):
    for name in ("mem", "over"):
        (tmp_path / name).mkdir()
    script = (
        'mount -t tmpfs none "$0/mem"; mkdir "$0/mem/l" "$0/mem/u" "$0/mem/w"; '
        'mount -t overlay none -o "lowerdir=$0/mem/l,upperdir=$0/mem/u,workdir=$0/mem/w" "$0/over"; '
        f'{ASK} "$0/over/new"'
    )
    assert in_own_mounts(script, tmp_path) == "None\n"


def test_a_folder_that_is_bound_elsewhere_is_a_local_one(tmp_path):
    for name in ("one", "other place"):
        (tmp_path / name).mkdir()
    script = f'mount --bind "$0/one" "$0/other place"; {ASK} "$0/other place/new"'
    assert in_own_mounts(script, tmp_path) == "None\n"


USE_FUSE = """
import sys, warnings
from hashstash import HashStash, paths
print(paths.shared_mount(sys.argv[1] + "/x").split()[1])
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    stash = HashStash(sys.argv[1] + "/x", compress=False)
    HashStash(sys.argv[1] + "/x")
print(stash.engine, ["pairtree" in str(warning.message) for warning in said])
def double(number):
    return [2 * number] * 20_000
assert stash.run(double, 2) == stash.run(double, 2) == [4] * 20_000
stash["bytes"] = bytes(100_000)
assert stash["bytes"] == bytes(100_000)
print(len(stash), stash.store.blobs._may_map)
"""


def test_a_real_fuse_mount_is_recognised_and_used_without_maps(tmp_path):
    if shutil.which("bindfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("bindfs, which makes a FUSE mount, is not installed")
    for name in ("source", "mounted here"):
        (tmp_path / name).mkdir()
    script = (
        f'bindfs "$0/source" "$0/mounted here"; {sys.executable} -c "$1" "$0/mounted here"; umount "$0/mounted here"'
    )
    said = [True] if find_spec("lmdb") else []  # without lmdb it would be pairtree anywhere
    assert in_own_mounts(script, tmp_path, USE_FUSE) == f"fuse\npairtree {said}\n1 False\n"


# ---- what a stash makes of it ----------------------------------------------------------------------------------------


@pytest.fixture
def on_a_server(mounts, tmp_path):
    mounts(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/x rw\n2 0 0:2 / / rw - ext4 disk rw")
    return tmp_path


@pytest.mark.skipif(find_spec("lmdb") is None, reason="without lmdb the default is pairtree anyway")
def test_the_default_engine_is_pairtree_on_a_shared_mount_and_that_is_said_once(on_a_server):
    with pytest.warns(RuntimeWarning, match=r"lies on the nfs4 mount .*: the engine is 'pairtree' there") as said:
        stash = HashStash(on_a_server / "x")
    assert stash.engine == "pairtree"
    assert len(said) == 1
    assert HashStash(on_a_server / "x").engine == "pairtree"  # a second warning would be an error here


def test_the_warning_points_at_the_line_that_opened_the_stash(on_a_server):
    with pytest.warns(RuntimeWarning) as said:
        HashStash(on_a_server / "x", engine="sqlite")
    assert said[0].filename == __file__


@pytest.mark.parametrize("engine", ["lmdb", "sqlite", "diskcache", "sqlitedict"])
def test_an_engine_that_needs_a_local_disk_is_warned_of_once(on_a_server, engine):
    if engine != "sqlite":
        pytest.importorskip(engine)
    with pytest.warns(RuntimeWarning, match="use engine='pairtree'") as said:
        stash = HashStash(on_a_server / "x", engine=engine)
    assert len(said) == 1
    HashStash(on_a_server / "x", engine=engine)  # a second warning would be an error here
    stash["k"] = 1
    assert stash["k"] == 1
    assert HashStash.from_dict(stash.to_dict())["k"] == 1


def test_pairtree_and_memory_are_not_warned_of(on_a_server):
    HashStash(on_a_server / "x", engine="pairtree")["k"] = 1
    HashStash(on_a_server / "x", engine="memory")["k"] = 1


def test_blobs_on_a_shared_mount_are_read_and_not_mapped(on_a_server, monkeypatch):
    stash = HashStash(on_a_server / "x", engine="pairtree", compress=False)
    stash["k"] = content = os.urandom(100_000)
    monkeypatch.setattr(mmap, "mmap", lambda *_, **__: pytest.fail("mapped"))
    assert stash["k"] == content


def test_sqlite_on_a_shared_mount_keeps_no_index_in_shared_memory(on_a_server):
    with pytest.warns(RuntimeWarning):
        stash = HashStash(on_a_server / "x", engine="sqlite")
    stash["k"] = 1
    assert not [name for name in os.listdir(stash.path) if name.endswith(("-wal", "-shm"))]
    assert stash["k"] == 1
