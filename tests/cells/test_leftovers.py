"""Closed files, finished threads and executors come back as used up as they were."""

from __future__ import annotations

import http.server
import io
import json
import mmap
import multiprocessing
import sqlite3
import sys
import threading
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from hashstash.cells import leftovers


@pytest.mark.parametrize("mode", ["r", "w", "a", "rb", "wb", "r+b"])
def test_a_closed_file_comes_back(tmp_path, mode):
    path = tmp_path / "f.txt"
    path.write_text("text")
    file = open(path, mode)
    file.close()
    again = leftovers.make(leftovers.describe(file))
    assert (type(again), again.name, again.mode, again.closed) == (type(file), str(path), file.mode, True)


@pytest.mark.parametrize("value", [5, io.StringIO(), "closed"])
def test_anything_else_is_none(value):
    assert leftovers.describe(value) is None


def test_an_open_file_is_none(tmp_path):
    with open(tmp_path / "f", "w") as file:
        assert leftovers.describe(file) is None


def test_a_finished_thread_comes_back_finished():
    thread = threading.Thread(name="worker")
    thread.start()
    thread.join()
    again = leftovers.make(leftovers.describe(thread))
    assert (again.name, again.is_alive(), again.ident is not None) == ("worker", False, True)


def test_a_thread_that_was_not_started_is_none():
    assert leftovers.describe(threading.Thread()) is None


def test_an_executor_comes_back_shut_down():
    with ThreadPoolExecutor(2) as executor:
        assert leftovers.describe(executor) is None
    again = leftovers.make(leftovers.describe(executor))
    with pytest.raises(RuntimeError, match="shutdown"):
        again.submit(print)


def test_a_pool_of_processes_comes_back_shut_down():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert leftovers.describe(executor) is None
    again = leftovers.make(leftovers.describe(executor))
    with pytest.raises(RuntimeError, match="shutdown"):
        again.submit(print)


def test_a_closed_connection_comes_back_closed():
    connection = sqlite3.connect(":memory:")
    assert leftovers.describe(connection) is None
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        leftovers.make(leftovers.describe(connection)).execute("select 1")


def test_a_closed_map_comes_back_closed():
    region = mmap.mmap(-1, 8)
    assert leftovers.describe(region) is None
    region.close()
    assert leftovers.make(leftovers.describe(region)).closed


@pytest.fixture
def address():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("X-Kind", "test")
            self.end_headers()
            self.wfile.write(b"body")

        def log_message(self, *_arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_response_that_was_read_and_closed_still_tells_its_headers(address):
    with urllib.request.urlopen(address) as response:
        assert leftovers.describe(response) is None
        assert response.read() == b"body"
    description = leftovers.describe(response)
    assert json.loads(json.dumps(description)) == description
    again = leftovers.make(description)
    assert (again.status, again.reason, again.url, again.closed) == (200, "OK", address, True)
    assert again.headers.items() == response.headers.items()
    assert again.getheader("x-kind") == "test"


def test_the_notebooks_own_module_is_the_one_of_whoever_asks():
    assert leftovers.make(leftovers.describe(sys.modules["__main__"])) is sys.modules["__main__"]
    assert leftovers.is_notebook(leftovers.describe(sys.modules["__main__"]))


@pytest.mark.parametrize(
    "description",
    [
        ["TarFile", "a", ["/dev/zero", "r"]],
        ["ZipFile", "a", ["/dev/zero", "r"]],
        ["HTTPResponse", [], {"close": "no method"}],
        ["DictReader", "", [["TarFile", "a", ["/dev/zero", "r"]], {}]],
        ["module", "os", ""],
        ["Nothing", "", ""],
        ["TextIOWrapper", 5],
        [["ZipFile"], "", ""],
        ["ThreadPoolExecutor", "many", None],
        "text",
    ],
    ids=str,
)
def test_what_a_stranger_describes_opens_nothing_and_is_told(description):
    with pytest.raises(leftovers.CannotMake, match="cannot be made again"):
        leftovers.make(description, is_trusted=False)


def test_an_archive_that_is_gone_is_told(tmp_path):
    with pytest.raises(leftovers.CannotMake, match="gone.zip"):
        leftovers.make(["ZipFile", "gone.zip", [str(tmp_path / "gone.zip"), "r"]])
