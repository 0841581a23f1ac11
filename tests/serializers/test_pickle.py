import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hashstash.codec import Encoded, Serializer
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UnsupportedValue
from hashstash.serializers import pickle as plugin
from hashstash.serializers.pickle import PLUGIN

ROOT = Path(__file__).parent.parent.parent


def stored(encoded):
    return Encoded(bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers], encoded.is_code)


def back(value):
    return PLUGIN.loads(stored(PLUGIN.dumps(value)))


class Bad:
    def __reduce__(self):
        return int, ("not a number",)


class Raises:
    def __reduce__(self):
        raise RuntimeError("no")


def test_is_a_serializer():
    assert isinstance(PLUGIN, Serializer)
    assert PLUGIN.name == "pickle"


def test_round_trip():
    shared = [1]
    read = back({"a": shared, "b": (shared, {2}, 1j)})
    assert read == {"a": [1], "b": ([1], {2}, 1j)}
    assert read["a"] is read["b"][0]


def test_always_code():
    assert PLUGIN.dumps(1).is_code


def test_pickle_marked_as_data_is_refused():
    with pytest.raises(CorruptEntry):
        PLUGIN.loads(PLUGIN.dumps(1)._replace(is_code=False))


def test_large_arrays_leave_the_document():
    np = pytest.importorskip("numpy")
    encoded = PLUGIN.dumps([np.zeros(1000), np.zeros(10)])
    assert [memoryview(buffer).nbytes for buffer in encoded.buffers] == [8000]
    assert len(encoded.document) < 1000


@pytest.mark.parametrize("length", [10, 1000])
def test_arrays_come_back_writable(length):
    np = pytest.importorskip("numpy")
    read = back(np.zeros(length))
    read[0] = 1
    assert read.sum() == 1


def test_writable_buffers_are_used_in_place():
    np = pytest.importorskip("numpy")
    encoded = PLUGIN.dumps(np.zeros(1000))
    memory = bytearray(encoded.buffers[0])
    PLUGIN.loads(encoded._replace(buffers=[memoryview(memory)]))[0] = 1
    assert any(memory)


def test_lambda_by_value():
    pytest.importorskip("cloudpickle")
    assert back(lambda v: v + 1)(1) == 2


def test_lambda_without_cloudpickle_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(UnsupportedValue, match="pip install cloudpickle"):
        PLUGIN.dumps(lambda v: v)


def test_plain_values_need_no_cloudpickle(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    assert back([1, {"a": Bad}]) == [1, {"a": Bad}]


def test_lock_is_refused():
    with pytest.raises(UnsupportedValue, match="lock"):
        PLUGIN.dumps({"a": threading.Lock()})


def test_reduce_that_raises_is_refused():
    with pytest.raises(UnsupportedValue, match="no"):
        PLUGIN.dumps(Raises())


def test_object_that_does_not_come_back():
    with pytest.raises(BadEntry, match="not a number") as caught:
        PLUGIN.loads(PLUGIN.dumps(Bad()))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("document", [b"", b"\x80\x05", b"no pickle", b"\x80\x05\x97."])
def test_malformed_pickle_is_corrupt(document):
    with pytest.raises(CorruptEntry):
        PLUGIN.loads(Encoded(document, (), True))


def test_missing_module_is_named():
    with pytest.raises(MissingDependency, match="no_such_module_here"):
        PLUGIN.loads(Encoded(b"cno_such_module_here\nf\n.", (), True))


def test_main_is_pickled_by_value(tmp_path):
    pytest.importorskip("cloudpickle")
    file = tmp_path / "stored"
    start = "import sys\nfrom hashstash.codec import Encoded\nfrom hashstash.serializers.pickle import PLUGIN\n"
    write = "class P:\n  v = 4\n  def m(self): return self.v\nopen(sys.argv[1], 'wb').write(bytes(PLUGIN.dumps(P()).document))"
    read = "print(PLUGIN.loads(Encoded(open(sys.argv[1], 'rb').read(), (), True)).m())"
    (tmp_path / "write.py").write_text(start + write)
    (tmp_path / "read.py").write_text(start + read)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, tmp_path / "write.py", file], check=True, env=environment)
    done = subprocess.run(
        [sys.executable, tmp_path / "read.py", file], check=True, env=environment, capture_output=True
    )
    assert done.stdout.strip() == b"4"


def test_plugin_module_has_the_name_of_its_plugin():
    assert plugin.__name__.rpartition(".")[2] == PLUGIN.name
