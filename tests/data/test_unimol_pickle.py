"""Pickles read as data: plain values come back as pickle.loads gives them, nothing else is ever run."""

from __future__ import annotations

import builtins
import collections
import copyreg
import os
import pickle
import pickletools
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from moleblend_plugin.data.unimol.safe_pickle import BadPickle, Omitted, RefusedName, loads

PROTOCOLS = range(6)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
    | st.complex_numbers()
)  # fmt: skip
keys = st.text(max_size=5) | st.integers() | st.binary(max_size=3) | st.none() | st.booleans()
dtypes = st.sampled_from(["<f4", ">f4", "f8", "f2", "i1", "u2", "<i4", "i8", "?", "c8", "U3", "S2", "O"])
arrays = dtypes.flatmap(
    lambda kind: hnp.arrays(
        kind,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.text(max_size=2) | st.none() if kind == "O" else None,
    )
)
laid_out = st.tuples(arrays, st.booleans()).map(lambda pair: pair[0].T if pair[1] else pair[0])
numpy_scalars = arrays.filter(lambda a: a.size and a.dtype != object).map(lambda a: a.ravel()[0])
values = st.recursive(
    scalars | laid_out | numpy_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
        | st.frozensets(st.binary(max_size=3), max_size=3)
        | st.binary(max_size=5).map(bytearray)
        | st.lists(inner, max_size=3).map(lambda item: [item, item])  # one object, twice
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        # NumPy's own unpickling turns some arrays of the other byte order into the machine's
        left, right = (value.astype(value.dtype.newbyteorder("=")) for value in (a, b))
        # the bytes tell NaN from NaN; of objects there are none but the objects
        equal = left.tolist() == right.tolist() if a.dtype == object else left.tobytes() == right.tobytes()
        return type(a) is type(b) and left.dtype == right.dtype and a.shape == b.shape and equal
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float | complex):
        return type(a) is type(b) and repr(a) == repr(b)
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=150)
@given(value=values, protocol=st.sampled_from(PROTOCOLS))
@example(value=np.zeros((), ">f4"), protocol=0)
@example(value=np.asfortranarray(np.array([["C", "O"], [None, "N"]], dtype=object)), protocol=4)
def test_plain_values_come_back_as_from_pickle(value: Any, protocol: Any) -> None:
    content = pickle.dumps(value, protocol=protocol)
    assert same(pickle.loads(content), loads(content))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_1_and_2_write_other_names_of_the_same(protocol: int) -> None:
    value = {"coordinates": [np.ones((2, 3), np.float32)], "target": np.float64(0.5)}
    content = pickle.dumps(value, protocol=protocol)
    new = b"numpy._core" in content
    other = _renamed(content, *("numpy._core", "numpy.core")[:: 1 if new else -1])
    assert other != content
    assert same(loads(other), value)


def _renamed(content: bytes, old: str, new: str) -> bytes:
    """The pickle with a module renamed: its text is preceded by its length, except in protocols 0 to 3."""
    for part in ("multiarray", "numeric"):
        a, b = f"{old}.{part}".encode(), f"{new}.{part}".encode()
        content = content.replace(bytes([len(a)]) + a, bytes([len(b)]) + b).replace(b"c" + a, b"c" + b)
    # frames count bytes that are one fewer or more now; they may be left out
    return b"".join(
        content[start:end] for start, end, name in _pieces(content) if name != "FRAME"
    )  # fmt: skip


def _pieces(content: bytes) -> list[tuple[int, int, str]]:
    found = [(position, opcode.name) for opcode, _, position in pickletools.genops(content)]
    ends = [position for position, _ in found[1:]] + [len(content)]
    return [(start, end, name) for (start, name), end in zip(found, ends, strict=True)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_rdkit_molecule_is_left_out_unseen(protocol: int) -> None:
    from rdkit import Chem

    value = {"smi": "CO", "mol": Chem.AddHs(Chem.MolFromSmiles("CO"))}
    read = loads(pickle.dumps(value, protocol=protocol))
    assert read["smi"] == "CO"
    assert isinstance(read["mol"], Omitted)


class Calls:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: object, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


def attacks(mark: Path) -> dict[str, Any]:
    """Name asked for -> an object whose pickle would make the file ``mark`` by it."""
    touch, code = f"touch {mark}", f"open({str(mark)!r}, 'w')"
    system = f"{os.name}.system"
    return {
        system: Calls(os.system, touch),
        "builtins.eval": Calls(eval, code),
        "builtins.exec": Calls(exec, code),
        "builtins.getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "builtins.open": Calls(open, str(mark), "w"),
        "builtins.map": Calls(set, Calls(map, eval, [code])),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", str(mark)]),
        "numpy.load": Calls(np.load, str(mark), None, True),
        "numpy.lib._npyio_impl.NpzFile": Calls(np.lib.npyio.NpzFile, str(mark)),
        "numpy.fromfile": Calls(np.fromfile, str(mark)),
        "copyreg._reconstructor": Calls(copyreg._reconstructor, dict, object, None),
        "_pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(os.system, touch))),
        "collections.defaultdict": collections.defaultdict(list),
        "numpy.matrix": Calls(np.matrix, "1 2"),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", sorted(attacks("mark")))
def test_a_pickle_that_would_run_code_is_refused_by_name(tmp_path: Path, name: str, protocol: int) -> None:
    mark = tmp_path / "mark"
    attack = attacks(mark)[name]
    wanted = name.removeprefix("builtins.")
    hidden = np.empty(1, object)
    hidden[0] = attack
    for value in (attack, {"atoms": ["C"], "coordinates": attack}, [(attack,)], {"x": hidden}):
        with pytest.raises(RefusedName, match="opening it would run code") as caught:
            loads(pickle.dumps(value, protocol=protocol))
        asked = caught.value.wanted
        # protocols 0 to 2 write Python 2's module; some names stand on the way to the worst
        assert asked.endswith((wanted.split(".")[-1], ".__import__", ".eval", ".map"))
        assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_the_same_pickles_do_harm_elsewhere(tmp_path: Path) -> None:
    """The attacks are real: pickle itself runs them."""
    for name in (f"{os.name}.system", "builtins.exec", "builtins.open"):
        mark = tmp_path / name
        pickle.loads(pickle.dumps(attacks(mark)[name]))
        assert mark.exists()


def written(mark: Path, kind: str) -> bytes:
    """Pickles that no pickler writes."""
    path = str(mark).encode()
    text = b"X" + struct.pack("<I", len(b"touch " + path)) + b"touch " + path
    system = b"c" + os.name.encode() + b"\nsystem\n"
    array = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n"
    return {
        "instance": b"(" + text + b"i" + os.name.encode() + b"\nsystem\n.",
        "object": b"(" + system + text + b"o.",
        "new object with keywords": b"\x80\x04" + system + text + b"\x85}\x92.",
        "extension 1": b"\x80\x02\x82\x01.",
        "extension 2": b"\x80\x02\x83\x01\x00.",
        "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "persistent id": b"Pevil\n.",
        "persistent id on the stack": b"\x80\x02" + text + b"Q.",
        "buffer out of band": b"\x80\x05\x97.",
        "state of a dict": b"\x80\x02}}" + text + b"Nsb.",
        "state of a stand-in": b"\x80\x02cnumpy\ndtype\n}" + text + b"Nsb.",
        "class as a value": b"\x80\x02]cnumpy\ndtype\na.",
        "class as the value": b"\x80\x02cnumpy\nndarray\n.",
        "call of a class": b"\x80\x02cnumpy\nndarray\nK\x05\x85\x85R.",
        "array of another class": array + b"cnumpy\ndtype\nK\x00\x85C\x01b\x87R.",
        "array without content": array + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
        "encoding": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        "tuple as a key": b"\x80\x02}))N\x86\x85Ns.",
        "nothing on the stack": b"\x80\x020.",
        "unknown memo": b"\x80\x02h\x07.",
        "long memo": b"\x80\x02Nr\xff\xff\xff\xff" + b"e.",
        "python 2 text": b"S'a'\n.",
        "no end": b"\x80\x02N",
        "not a pickle": b"CCO",
        "empty": b"",
    }[kind]  # fmt: skip


KINDS = [
    "instance", "object", "new object with keywords", "extension 1", "extension 2", "extension 4",
    "persistent id", "persistent id on the stack", "buffer out of band", "state of a dict",
    "state of a stand-in", "class as a value", "class as the value", "call of a class",
    "array of another class", "array without content", "encoding", "tuple as a key", "nothing on the stack",
    "unknown memo", "long memo", "python 2 text", "no end", "not a pickle", "empty",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_instructions_that_plain_values_never_use_are_refused(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(BadPickle) as caught:
        loads(written(mark, kind))
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_names_are_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("imported")

    content = pickle.dumps([np.ones(2), np.float32(1), {1}], protocol=2)
    evil = b"\x80\x02cantigravity\nfly\n."
    monkeypatch.setattr(builtins, "__import__", fail)
    assert len(loads(content)) == 3
    with pytest.raises(RefusedName, match=r"antigravity\.fly"):
        loads(evil)


def test_a_foreign_name_is_shown_in_one_short_printable_line() -> None:
    with pytest.raises(RefusedName) as caught:
        loads(pickle.dumps(Calls(print), protocol=0).replace(b"print", b"\x1b[31m" + b"a" * 500))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x02K\x03\x86", b"K\x03K\x03\x86"),  # more elements than bytes
        (b"K\x02K\x03\x86", b"J\xff\xff\xff\xffJ\xfa\xff\xff\xff\x86"),  # negative sizes
        (b"X\x02\x00\x00\x00f4", b"X\x02\x00\x00\x00O8"),  # bytes as pointers to objects
        (b"X\x02\x00\x00\x00f4", b"X\x02\x00\x00\x00V4"),
        (b"X\x02\x00\x00\x00f4", b"X\x02\x00\x00\x00U0"),
        (b"NNNJ", b"N)}J"),  # fields of a record
    ],
)
def test_arrays_whose_parts_do_not_fit_are_refused(old: bytes, new: bytes) -> None:
    content = pickletools.optimize(pickle.dumps(np.arange(6, dtype=np.float32).reshape(2, 3), protocol=2))
    assert loads(content).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert content.count(old) == 1
    with pytest.raises(BadPickle):
        loads(content.replace(old, new))


@settings(deadline=None, max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_pickles_are_read_or_refused(place: Any, byte: Any, cut: Any) -> None:
    places = [np.ones((2, 3), np.float32)]
    value = {"atoms": ["C", "O"], "coordinates": places, "target": [1.0, np.float32(2)]}
    content = pickle.dumps(value, protocol=4)
    index = int(place * len(content))
    damaged = content[:index] if cut else content[:index] + bytes([byte]) + content[index + 1 :]
    with suppress(BadPickle):  # anything else fails the test
        loads(damaged)


def test_a_pickle_of_many_bytes_is_refused() -> None:
    with pytest.raises(BadPickle, match="more than"):
        loads(pickle.dumps(b"\0" * (1 << 26)))
