"""``%config StashMagics``, ``%stash config`` and ``%stash use``: what is in force, where it comes from, what is refused."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

NAMES = {"status", "default_name", "root", "engine", "serializer", "compress", "max_output"}


@pytest.fixture
def magics(session):
    return session.shell.magics_manager.registry["StashMagics"]


def sources(session) -> dict[str, str]:
    return {item["name"]: item["source"] for item in session.run("%stash config").items}


def test_config_lists_all_settings_with_their_values_and_meanings(session):
    items = {item["name"]: item for item in session.run("%stash config").items}
    assert items.keys() >= NAMES
    assert items["default_name"]["value"] == "notebook"
    assert items["engine"]["value"] in ("lmdb", "pairtree")
    assert items["root"]["value"].endswith("hashstash/cells")
    assert all(item["help"] for item in items.values())
    assert {items[name]["source"] for name in NAMES} == {"default"}


def test_the_environment_is_named_as_a_source(session, monkeypatch):
    monkeypatch.setenv("HASHSTASH_ENGINE", "sqlite")
    setting = session.run("%stash config engine").items[0]
    assert (setting["value"], setting["source"]) == ("sqlite", "the environment variable HASHSTASH_ENGINE")


def test_the_users_file_is_named_as_a_source(session, home, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    (home / "config" / "hashstash").mkdir(parents=True)
    (home / "config" / "hashstash" / "config.toml").write_text('compress = "zlib"\n')
    setting = session.run("%stash config compress").items[0]
    assert (setting["value"], setting["source"]) == ("zlib", "~/config/hashstash/config.toml")


def test_ipythons_own_configuration_is_named_as_a_source_and_is_in_force(session, home):
    session.shell.run_line_magic("unload_ext", "hashstash")
    session.shell.config.StashMagics.engine = "sqlite"
    session.shell.run_line_magic("load_ext", "hashstash")
    setting = session.run("%stash config engine").items[0]
    assert (setting["value"], setting["source"]) == ("sqlite", "IPython's configuration")
    session.run("%%stash t\ny = 1")
    assert session.run("%stash").items[0]["engine"] == "sqlite"


@pytest.mark.parametrize("line", ["%config StashMagics.engine = 'sqlite'", "%stash config engine sqlite"])
def test_what_is_set_in_the_session_holds_and_is_named(session, line):
    session.run(line)
    assert sources(session)["engine"] == "this session"
    session.run("%%stash t\ny = 1")
    assert session.run("%stash").items[0]["engine"] == "sqlite"


def test_an_empty_value_is_the_default_again(session):
    session.run("%stash config engine sqlite")
    session.run('%stash config engine ""')
    assert sources(session)["engine"] == "default"


@pytest.mark.parametrize(
    "name, value, part",
    [
        ("engine", "nosuch", "no engine named 'nosuch'"),
        ("serializer", "nosuch", "no serializer named 'nosuch'"),
        ("compress", "nosuch", "no compressor named 'nosuch'"),
        ("status", "loud", "loud"),
        ("default_name", "../up", "would lead outside"),
        ("max_output", "much", "is no size"),
        ("max_output", "3", "too little"),
        ("default_name", "", "names nothing"),
        ("root", "redis://somewhere", "is no folder"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_nothing_changes(session, magics, name, value, part):
    before = getattr(magics, name)
    error = session.fail(f'%stash config {name} "{value}"')
    assert isinstance(error, UsageError)
    assert name in str(error)
    assert part in str(error)
    assert getattr(magics, name) == before


def test_a_wrong_value_in_config_is_refused_and_later_ones_are_taken(session, magics, caplog):
    session.run("%config StashMagics.engine = 'nosuch'")
    assert "no engine named 'nosuch'" in caplog.text
    session.run("%config StashMagics.status = 'none'")
    assert (magics.engine, magics.status) == ("", "none")


def test_config_of_one_thing_leaves_what_use_chose(session, magics):
    session.run("%config StashMagics.engine = 'sqlite'")
    session.run("%stash use mine --engine pairtree")
    session.run("%config StashMagics.status = 'none'")
    assert (magics.engine, magics.default_name) == ("pairtree", "mine")


@pytest.mark.parametrize(
    "line, part",
    [
        ("engin", "did you mean engine?"),
        ("nosuch 3", "known: "),
        ("a b c", "'c' is one too many"),
        ("status loud", "status: 'loud'; known: full, line, none"),
    ],
)
def test_an_unknown_setting_is_an_error_that_lists_the_known(session, line, part):
    error = session.fail(f"%stash config {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)


def test_the_help_of_the_class_has_a_text_for_each_trait(session, capsys):
    session.run("%config StashMagics")
    text = capsys.readouterr().out
    assert all(f"StashMagics.{name}=" in text for name in NAMES)
    assert "full, line or none" in text


# ---- use -------------------------------------------------------------------------------------------------------------


def test_cells_without_a_name_go_where_use_says(session):
    session.run("%stash use mine --engine sqlite")
    assert "stash mine: from now on used" in session.status()
    session.run("%%stash\ny = 1")
    assert session.status().startswith("stash mine: ran")
    assert [(item["stash"], item["engine"]) for item in session.run("%stash").items] == [("mine", "sqlite")]


def test_maps_without_a_name_go_there_too(defined):
    defined.run("%stash use mine")
    defined.run("%stash_map --serial --no-progress f xs")
    assert [(item["stash"], item["results"]) for item in defined.run("%stash").items] == [("mine", 3)]


def test_use_alone_says_what_is_in_force_and_changes_nothing(session):
    session.run("%stash use mine --compress zlib")
    session.run("%stash use")
    assert "stash mine: used by cells" in session.status()
    assert "zlib" in session.status()


def test_use_with_a_root_lists_what_lies_there(session, home):
    session.run("%%stash here\ny = 1")
    session.run(f'%stash use mine --root "{home}/a b"')
    session.run("%%stash\ny = 1")
    assert [item["stash"] for item in session.run("%stash").items] == ["mine"]
    session.run('%stash use --root ""')
    assert [item["stash"] for item in session.run("%stash").items] == ["here"]


@pytest.mark.parametrize(
    "line, part", [("../up", "outside"), ("mine --engine nosuch", "nosuch"), ("mine --compres lz4", "--compress")]
)
def test_a_wrong_choice_changes_nothing(session, magics, line, part):
    error = session.fail(f"%stash use {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)
    assert (magics.default_name, magics.engine) == ("notebook", "")
