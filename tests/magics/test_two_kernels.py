"""Several processes with one store: every record is complete, and none is lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("IPython")

WRITER = textwrap.dedent("""
    import sys
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "hashstash")
    shell.display_pub.publish = lambda *a, **k: None
    for x in range(int(sys.argv[1]), int(sys.argv[2])):
        shell.user_ns["x"] = x
        shell.run_cell("%%stash t\\ny = [x] * 1000").raise_error()
""")


@pytest.mark.slow
def test_records_of_one_cell_from_two_processes_are_all_there(session, home):
    script = home / "writer.py"
    script.write_text(WRITER)
    parts = [subprocess.Popen([sys.executable, str(script), str(a), str(a + 10)]) for a in (0, 10)]
    assert [part.wait(timeout=120) for part in parts] == [0, 0]
    for x in range(20):
        session.shell.user_ns["x"] = x
        session.run("%%stash t --read\ny = [x] * 1000")
        assert session["y"] == [x] * 1000
