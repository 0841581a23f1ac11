import pytest

from hashstash.errors import MissingDependency, UnknownPlugin
from hashstash.registry import COMPRESSORS, ENGINES, FILTERS, SERIALIZERS, Registry

ALL = [ENGINES, SERIALIZERS, COMPRESSORS, FILTERS]


@pytest.mark.parametrize(
    "registry, known",
    [
        (ENGINES, {"pairtree", "lmdb", "memory"}),
        (SERIALIZERS, {"hashstash", "pickle", "jsonpickle"}),
        (COMPRESSORS, {"raw", "zlib", "gzip", "bz2", "lz4", "blosc", "zstd"}),
        (FILTERS, {"b64"}),
    ],
)
def test_every_file_is_a_plugin(registry, known):
    assert known <= set(registry.names())


@pytest.mark.parametrize("registry, name", [(registry, name) for registry in ALL for name in registry.names()])
def test_a_plugin_is_called_like_its_file(registry, name):
    try:
        assert registry.load(name).name == name
    except MissingDependency as error:
        pytest.skip(str(error))


def test_an_alias_is_the_same_plugin():
    assert ENGINES.load("file") is ENGINES.load("pairtree")


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
@pytest.mark.parametrize("name", ["nope", "", "__init__", "../lmdb", "os.path", "Raw", "lmdb\0", 5, None, ["lmdb"]])
def test_an_unknown_name_raises_and_lists_the_known(registry, name):
    with pytest.raises(UnknownPlugin, match=f"no {registry.kind} named .*known: .*{registry.names()[0]}"):
        registry.load(name)


def test_an_unknown_plugin_is_a_value_error():
    with pytest.raises(ValueError):
        ENGINES.load("nope")


def test_a_typing_error_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownPlugin, match="did you mean 'lmdb'"):
        ENGINES.load("lmbd")


def test_other_packages_add_plugins_by_entry_points(tmp_path, monkeypatch):
    (tmp_path / "extra_plugin.py").write_text("PLUGIN = 'the plugin'\n")
    metadata = tmp_path / "extra-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[hashstash.compressors]\nextra = extra_plugin:PLUGIN\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("compressor", "hashstash.compressors")
    assert "extra" in registry.names()
    assert registry.load("extra") == "the plugin"


def test_a_plugin_is_not_imported_to_be_listed(tmp_path, monkeypatch):
    package = tmp_path / "some_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "broken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Registry("thing", "hashstash.compressors").names() == COMPRESSORS.names()
    with pytest.raises(RuntimeError, match="imported"):
        Registry("thing", "some_plugins").load("broken")
