"""Modules of the user's that a cell reaches, whoever loaded them."""

from __future__ import annotations

import sys

import pytest

from hashstash.cells.modules import user_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``reached_pk``: ``sub`` takes a function of ``deep``, ``late`` imports ``deep`` inside a function."""
    folder = tmp_path / "reached_pk"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "deep.py").write_text("def h():\n    return 1\nN = 1\n")
    (folder / "sub.py").write_text("from .deep import h\ndef g():\n    return h()\n")
    (folder / "data.py").write_text("from .deep import N\n")
    (folder / "late.py").write_text("def g():\n    from reached_pk import deep\n    return deep.h()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("reached_pk")]:
        del sys.modules[name]


@pytest.mark.parametrize("module", ["sub", "data", "late"])
def test_a_module_behind_a_module_counts(package, module):
    __import__(f"reached_pk.{module}")
    __import__("reached_pk.deep")
    assert set(user_modules([f"reached_pk.{module}"])) == {"reached_pk", f"reached_pk.{module}", "reached_pk.deep"}


def test_modules_that_are_not_loaded_do_not_count(package):
    __import__("reached_pk.late")
    assert set(user_modules(["reached_pk.late"])) == {"reached_pk", "reached_pk.late"}


def test_installed_modules_are_not_walked(package):
    assert user_modules(["pytest", "json"]) == {}
