"""Files that a cell wrote are part of what it did."""

from __future__ import annotations

WRITES = "%%stash t\nwith open('out.txt', 'w') as file:\n    _ = file.write(str(v))\ndel file"


def test_a_file_that_another_run_of_the_cell_overwrote_is_written_again(session, home):
    for v in (1, 2, 1):
        session.run(f"v = {v}")
        session.run(WRITES)
    assert "ran in" in session.status()
    assert (home / "out.txt").read_text() == "1"


def test_a_file_that_is_as_the_cell_left_it_is_a_hit(session, home):
    session.run("v = 1")
    session.run(WRITES)
    session.run(WRITES)
    assert "hit" in session.status()


def test_others_may_add_to_a_file_that_the_cell_added_to(session, home):
    cell = "%%stash t\nwith open('log.txt', 'a') as file:\n    _ = file.write('line')\ndel file"
    session.run(cell)
    with open("log.txt", "a") as log:
        log.write("more")
    session.run(cell)
    assert "hit" in session.status()


def test_a_file_that_was_written_and_then_added_to_counts_whole(session, home):
    cell = (
        "%%stash t\nfor mode in 'wa':\n    with open('log.txt', mode) as file:\n        _ = file.write('line')\ndel file"
    )
    session.run(cell)
    (home / "log.txt").write_text("other")
    session.run(cell)
    assert (home / "log.txt").read_text() == "lineline"
