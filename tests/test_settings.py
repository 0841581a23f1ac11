import os

import pytest

from hashstash import HashStash
from hashstash.errors import StashError, UnknownPlugin
from hashstash.settings import Settings, load_settings


@pytest.fixture
def config(private_home):
    """Write the user's config.toml."""

    def write(text):
        folder = private_home / "config" / "hashstash"
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(text)

    return write


def test_nothing_is_set_by_default(private_home):
    assert load_settings() == Settings()
    assert load_settings().base == str(private_home / "cache" / "hashstash")


@pytest.mark.parametrize("name", ["root", "engine", "serializer", "compress", "status"])
def test_a_variable_sets_it(name):
    assert getattr(load_settings({f"HASHSTASH_{name.upper()}": "x"}), name) == "x"


def test_an_empty_variable_sets_nothing():
    assert load_settings({"HASHSTASH_ENGINE": ""}) == Settings()


def test_the_file_sets_it(config):
    config('engine = "memory"\nroot = "/somewhere"\n')
    assert load_settings() == Settings(engine="memory", root="/somewhere")


def test_a_variable_wins_over_the_file(config):
    config('engine = "memory"')
    assert load_settings({"HASHSTASH_ENGINE": "pairtree"}).engine == "pairtree"


def test_the_file_is_not_read_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text('engine = "memory"')
    monkeypatch.chdir(tmp_path)
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["engine = ", "\x00", "engine"])
def test_a_broken_file_is_named(config, text):
    config(text)
    with pytest.raises(StashError, match=r"config\.toml is not valid TOML.*mend or remove"):
        load_settings()


def test_an_unknown_setting_is_named_with_the_known(config):
    config("engin = 'lmdb'")
    with pytest.raises(StashError, match="sets engin, which is not a setting; known: compress, engine"):
        load_settings()


@pytest.mark.parametrize("text", ["root = 3", "engine = ['lmdb']", "compress = 1.5", "status = true"])
def test_a_setting_of_the_wrong_type_is_named(config, text):
    config(text)
    with pytest.raises(StashError, match=f"sets {text.split()[0]} to .*quotes"):
        load_settings()


def test_settings_are_the_defaults_of_a_stash(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHSTASH_ROOT", str(tmp_path / "my stashes"))
    monkeypatch.setenv("HASHSTASH_ENGINE", "pairtree")
    monkeypatch.setenv("HASHSTASH_COMPRESS", "bz2")
    monkeypatch.setenv("HASHSTASH_SERIALIZER", "pickle")
    stash = HashStash("x")
    assert stash.root_dir == str(tmp_path / "my stashes" / "x")
    assert (stash.engine, stash.compress, stash.serializer) == ("pairtree", "bz2", "pickle")


def test_arguments_win_over_settings(monkeypatch):
    monkeypatch.setenv("HASHSTASH_ENGINE", "pairtree")
    monkeypatch.setenv("HASHSTASH_COMPRESS", "bz2")
    stash = HashStash("x", engine="memory", compress=False)
    assert (stash.engine, stash.compress) == ("memory", "raw")


def test_an_unknown_engine_in_the_settings_is_refused_at_opening(monkeypatch):
    monkeypatch.setenv("HASHSTASH_ENGINE", "nope")
    with pytest.raises(UnknownPlugin, match="nope"):
        HashStash("x")


@pytest.mark.parametrize("name", ["engine", "serializer", "compress"])
def test_an_error_over_a_setting_says_where_it_was_made(name, config, monkeypatch):
    monkeypatch.setenv(f"HASHSTASH_{name.upper()}", "nope")
    with pytest.raises(UnknownPlugin, match=f"the environment variable HASHSTASH_{name.upper()}: no .*nope"):
        HashStash("x")
    monkeypatch.delenv(f"HASHSTASH_{name.upper()}")
    config(f'{name} = "nope"')
    with pytest.raises(UnknownPlugin, match=r"config\.toml: no .*nope"):
        HashStash("x")


def test_compress_may_be_a_truth_value_in_the_file(config):
    config("compress = false")
    assert HashStash("x").compress == "raw"


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 9000, "# " + "x" * (2 << 20)])
def test_a_file_that_is_no_list_of_settings_is_named(config, text):
    config(text)
    with pytest.raises(StashError, match=r"config\.toml"):
        load_settings()


def test_a_pipe_is_not_waited_for(private_home):
    folder = private_home / "config" / "hashstash"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "config.toml")
    with pytest.raises(StashError, match="no file of a few settings"):
        load_settings()


@pytest.mark.parametrize("root", ["redis://host/x", "a\0b"])
def test_a_root_that_is_no_folder_is_refused(monkeypatch, private_home, root):
    """A URL would be taken for a folder in the current one."""
    with pytest.raises(StashError, match="no folder"):
        _ = Settings(root=root).base
