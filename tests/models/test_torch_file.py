"""The reader of PyTorch's files: what PyTorch would have written, and what it never should."""

import io
import os
import pickle
import re
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from fracture.models import _torch_file
from fracture.models._torch_file import MAGIC, PROTOCOL, read_torch_file


class Storage:
    """A storage to be referred to in a pickle."""

    def __init__(self, kind, key, values):
        self.kind, self.key, self.values = kind, key, values


class Tensor:
    """Pickled as PyTorch pickles a view of a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.view = (storage, offset, shape, strides)

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*self.view, False, OrderedDict())


class Writer(pickle.Pickler):
    def persistent_id(self, item):
        if not isinstance(item, Storage):
            return None
        return ("storage", item.kind, item.key, "cpu", len(item.values), None)


@pytest.fixture
def torch(monkeypatch):
    """The names of PyTorch that its files use, with nothing behind them."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(module, name, type(name, (), {"__module__": "torch"}))
    utils._rebuild_tensor_v2 = types.FunctionType((lambda *_: None).__code__, {})
    utils._rebuild_tensor_v2.__name__ = utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


def write(path, content, storages=(), *, magic=MAGIC, little_endian=True):
    with open(path, "wb") as file:
        for item in (
            *(magic, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": little_endian}),
            *(content, [storage.key for storage in storages]),
        ):
            Writer(file, 2).dump(item)
        for storage in storages:
            file.write(struct.pack("<q", len(storage.values)) + storage.values.tobytes())
    return path


@pytest.mark.fast
def test_views_of_storages(tmp_path, torch):
    flat = np.arange(12, dtype="<f4")
    shared = Storage(torch.FloatStorage, "a", flat)
    counts = Storage(torch.LongStorage, "b", np.array([7], "<i8"))
    state = OrderedDict(
        whole=Tensor(shared, 0, (3, 4), (4, 1)),
        turned=Tensor(shared, 1, (2, 3), (1, 4)),
        empty=Tensor(shared, 0, (0, 4), (4, 1)),
        count=Tensor(counts, 0, (), ()),
    )
    state._metadata = OrderedDict({"": {"version": 1}})
    got = read_torch_file(write(tmp_path / "good.pth", state, [shared, counts]))
    assert list(got) == list(state)
    np.testing.assert_array_equal(got["whole"], flat.reshape(3, 4))
    np.testing.assert_array_equal(got["turned"], flat.reshape(3, 4).T[1:3])
    assert got["empty"].shape == (0, 4)
    assert got["whole"].dtype == np.float32
    assert got["count"] == 7
    assert got["count"].dtype == np.int64


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["first", "state", "keys"])
def test_nothing_that_a_hostile_file_names_is_executed(tmp_path, where):
    trace = tmp_path / "trace"
    attack = Hostile(os.mkdir, str(trace))
    path = tmp_path / "hostile.pth"
    if where == "first":
        path.write_bytes(pickle.dumps(attack, 2))
    elif where == "state":
        write(path, OrderedDict(weight=attack))
    else:
        write(path, OrderedDict())
        path.write_bytes(path.read_bytes()[: -len(pickle.dumps([], 2))] + pickle.dumps(attack, 2))
    with pytest.raises(ValueError, match=r"names (posix|nt)\.mkdir"):
        read_torch_file(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, __import__, exec, pickle.loads, np.load, OrderedDict.fromkeys]
)
def test_other_functions_are_refused(tmp_path, function):
    with pytest.raises(ValueError, match="names"):
        read_torch_file(write(tmp_path / "x.pth", {"w": Hostile(function, "1")}))


def pickled(program):
    """A file whose state dict is this program, and which has no storages."""
    whole = io.BytesIO()
    for item in (MAGIC, PROTOCOL, {"little_endian": True}):
        pickle.Pickler(whole, 2).dump(item)
    return whole.getvalue() + b"\x80\x02" + program + b"\x80\x02]."


GLOBALS = b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("program", "says"),
    [
        # Tuples in tuples: hashing them, or freeing them in C, can exhaust the stack.
        (b")" + b"\x85" * 3_000_000 + b".", "more than 100,000 instructions"),
        (b")" + b"\x85" * 90_000 + b".", "a tuple in place of a dict"),
        (b"}" + b")" + b"\x85" * 90_000 + b"K\x01s.", "a key is no text but tuple"),
        (b"}" + b"X\1\0\0\0w" + b")" + b"\x85" * 90_000 + b"s.", "something else"),
        (b")r\xff\xff\xff\x7f.", "a tuple in place of a dict"),  # a memo of 2^31 entries
        (b"X\xff\xff\xff\xff.", "ends early"),  # 4 GB of text
        (b"\x8b\xff\xff\xff\x7f.", "instruction b'\\x8b'"),  # an integer of 2 GB
        (GLOBALS[0] + b"}X\5\0\0\0helloK\1sb.", "changes what is no dict"),  # attributes
        (GLOBALS[1] + b"}X\5\0\0\0helloK\1sb.", "changes what is no dict"),
        (GLOBALS[0] + GLOBALS[1] + b"R.", "calls what is no function"),
        (GLOBALS[0] + b"K\1\x85R.", "takes 0 positional"),
        (b"K\1)R.", "calls what is no function"),
        (b"(0.", "instruction b'0'"),
        (b"R.", "takes more than there is"),
        (b"t.", "pop from empty list"),
        (b"h\0.", "0"),
        (b")Q.", "not enough values"),
    ],
)
def test_hostile_programs_are_refused(tmp_path, program, says):
    (tmp_path / "hostile.pth").write_bytes(pickled(program))
    with pytest.raises(ValueError, match=rf"hostile\.pth.*{re.escape(says)}"):
        read_torch_file(tmp_path / "hostile.pth")
    assert not hasattr(_torch_file._rebuild, "hello")


@pytest.mark.fast
def test_sizes_are_those_of_the_file(tmp_path, torch):
    one = Storage(torch.FloatStorage, "a", np.zeros(1, "<f4"))
    huge = Storage(torch.FloatStorage, "a", range(2**29))  # says so, and is not there
    whole = write(tmp_path / "a.pth", {"w": Tensor(one, 0, (2**30,), (0,))}, [one])
    with pytest.raises(ValueError, match="reaches beyond its storage"):
        read_torch_file(whole)
    for item in (MAGIC, PROTOCOL, {"little_endian": True}, {"w": Tensor(huge, 0, (1,), (1,))}):
        with open(tmp_path / "b.pth", "ab") as file:
            Writer(file, 2).dump(item)
    with open(tmp_path / "b.pth", "ab") as file:
        Writer(file, 2).dump(["a"])
        file.write(struct.pack("<q", 2**29))
    with pytest.raises(ValueError, match="ends early"):
        read_torch_file(tmp_path / "b.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(ValueError, match="is a pipe"):
        read_torch_file(tmp_path / "pipe.pth")


@pytest.mark.fast
def test_no_damage_is_a_traceback(tmp_path, torch):
    storage = Storage(torch.FloatStorage, "a", np.arange(4, dtype="<f4"))
    state = OrderedDict(w=Tensor(storage, 0, (2, 2), (2, 1)))
    content = write(tmp_path / "good.pth", state, [storage]).read_bytes()
    refused = 0
    for at in range(0, len(content), 9):
        for bit in (1, 128):
            damaged = bytearray(content)
            damaged[at] ^= bit
            (tmp_path / "damaged.pth").write_bytes(damaged)
            try:
                got = read_torch_file(tmp_path / "damaged.pth")
            except ValueError as error:
                refused += "damaged.pth" in str(error)  # any other exception fails the test
            else:
                assert all(array.size <= 4 for array in got.values())
    assert refused > len(content) / 9


def test_damage_and_other_formats_are_reported(tmp_path, torch):
    storage = Storage(torch.FloatStorage, "a", np.zeros(4, "<f4"))
    good = write(tmp_path / "good.pth", {"w": Tensor(storage, 0, (4,), (1,))}, [storage])
    whole = good.read_bytes()
    cases = {
        "empty": b"",
        "text": b"hello, world",
        "zip": b"PK\x03\x04" + whole,
        "cut": whole[:-1],
        "halved": whole[: len(whole) // 2],
        "size": whole[:-24] + struct.pack("<q", 5) + whole[-16:],
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.pth: not a state dict"):
            read_torch_file(path)
    half = Storage(torch.HalfStorage, "a", np.zeros(4, "<f2"))
    bad = {
        "magic": lambda path: write(path, {}, magic=1),
        "endian": lambda path: write(path, {}, little_endian=False),
        "list": lambda path: write(path, []),
        "numbers": lambda path: write(path, {"w": 1}),
        "half": lambda path: write(path, {"w": Tensor(half, 0, (4,), (1,))}, [half]),
        "beyond": lambda path: write(path, {"w": Tensor(storage, 1, (4,), (1,))}, [storage]),
        "stride": lambda path: write(path, {"w": Tensor(storage, 3, (4,), (-1,))}, [storage]),
        "rank": lambda path: write(path, {"w": Tensor(storage, 0, (4,), (1, 1))}, [storage]),
        "missing": lambda path: write(path, {"w": Tensor(storage, 0, (4,), (1,))}),
    }
    for name, make in bad.items():
        with pytest.raises(ValueError, match="not a state dict"):
            read_torch_file(make(tmp_path / f"{name}.pth"))
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pth")
