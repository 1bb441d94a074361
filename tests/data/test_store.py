"""The store: what is written is read back, in any process; what is broken is refused with one line."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import numpy as np
import pytest

from moleblend_plugin.data.store.checksum import seal, unseal
from moleblend_plugin.data.store.meta import META_KEY, N_ATOMS_KEY, record_key
from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore, StoreWriter, fingerprint
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import SCHEMA_VERSION, MoleculeRecord


def chain(
    row: int, n_atoms: int = 3, conformers: int = 1, targets: tuple[float, ...] = (1.5, float("nan"))
) -> MoleculeRecord:
    """A chain of carbons with recognisable numbers."""
    bonds = np.array([[i, i + 1] for i in range(n_atoms - 1)], np.uint16).reshape(-1, 2)
    coords = np.arange(conformers * n_atoms * 3, dtype=np.float32).reshape(conformers, n_atoms, 3) + row
    return MoleculeRecord(
        source="mols.smi",
        row=row,
        smiles="C" * n_atoms,
        atom_codes=np.full((n_atoms, 9), [5, 0, 1, 5, 3, 0, 2, 0, 0], np.uint8),
        bonds=bonds,
        bond_codes=np.zeros((len(bonds), 3), np.uint8),
        coords=coords if conformers else None,
        coords_from="ETKDGv3" if conformers else "not wanted",
        targets=np.array(targets),
    )


def write(path: Path, records: Iterator[Any] | list[MoleculeRecord], **kwargs: str) -> Path:
    settings = {"seed": 1, "conformers": 1}
    with StoreWriter(
        path, settings=settings, sources={"mols.smi": "ab" * 32}, target_names=("a", "b"), **kwargs
    ) as writer:
        for record in records:
            writer.add(record)
        writer.rejected.update({"no atoms": 2, "bad valence": 5})
    return path


def assert_same(left: MoleculeRecord, right: MoleculeRecord) -> None:
    for item in fields(MoleculeRecord):
        a, b = getattr(left, item.name), getattr(right, item.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        else:
            assert a == b


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    sizes = [3, 1, 250, 2]
    return write(tmp_path / "train.lmdb", [chain(row, size) for row, size in enumerate(sizes)])


def damage(path: Path, change: Callable[..., Any]) -> None:
    """Apply ``change(txn)`` to a written store."""
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 27) as env,
        env.begin(write=True) as txn,
    ):
        change(txn)


def test_records_come_back_equal_in_index_order(tmp_path: Path) -> None:
    records = [
        chain(7, 250),
        chain(8, 1, conformers=0),
        chain(9, 2, conformers=3, targets=(float("nan"), -1.0)),
    ]
    store = MoleculeStore(write(tmp_path / "valid.lmdb", records, split="valid"))
    assert len(store) == 3
    for read, written in zip(store, records, strict=True):
        assert_same(read, written)
    assert_same(store[-1], records[-1])
    np.testing.assert_array_equal(store.n_atoms, np.array([250, 1, 2], np.uint16))
    assert store.n_atoms.dtype == np.uint16


def test_more_records_than_a_transaction_keep_their_order(tmp_path: Path) -> None:
    store = MoleculeStore(write(tmp_path / "train.lmdb", (chain(row, 1 + row % 5) for row in range(2345))))
    assert [store[i].row for i in (0, 999, 1000, 2344)] == [0, 999, 1000, 2344]
    np.testing.assert_array_equal(store.n_atoms, 1 + np.arange(2345) % 5)


def test_map_grows_when_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moleblend_plugin.data.lmdb_writer.FIRST_MAP_BYTES", 1 << 15)
    path = write(tmp_path / "train.lmdb", (chain(row, 60) for row in range(3000)))
    assert path.stat().st_size > 1 << 20
    assert MoleculeStore(path)[2999].row == 2999


def test_metadata_comes_back(store_path: Path) -> None:
    meta = MoleculeStore(store_path).meta
    assert (meta.count, meta.schema_version, meta.split) == (4, SCHEMA_VERSION, "train")
    assert meta.settings == {"seed": 1, "conformers": 1}
    assert meta.fingerprint == fingerprint({"conformers": 1, "seed": 1})
    assert meta.sources == {"mols.smi": "ab" * 32}
    assert meta.rejected == 7
    assert meta.rejected_by_reason == {"bad valence": 5, "no atoms": 2}
    assert meta.target_names == ("a", "b")


def test_fingerprint_is_the_sha256_of_canonical_json() -> None:
    # printf '{"a":[1,2],"b":"x"}' | sha256sum
    assert fingerprint({"b": "x", "a": [1, 2]}) == (
        "d0f56dda38d34376527524ddd98f7ec117d5cbfb240f86e11bfb9d2d01a717d9"
    )
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_empty_store_and_no_files_left_over(tmp_path: Path) -> None:
    store = MoleculeStore(write(tmp_path / "train.lmdb", []))
    assert len(store) == 0
    assert [item.name for item in tmp_path.iterdir()] == ["train.lmdb"]


def test_index_beyond_the_store_is_an_index_error(store_path: Path) -> None:
    store = MoleculeStore(store_path)
    for index in (4, -5):
        with pytest.raises(IndexError, match="holds 4 molecules"):
            store[index]


def test_two_readers_of_one_file_live_together_and_either_may_close(store_path: Path) -> None:
    first, second = MoleculeStore(store_path), MoleculeStore(store_path)
    assert first[2].n_atoms == second[2].n_atoms == 250
    del first
    assert second[0].row == 0
    assert MoleculeStore(str(store_path))[3].row == 3


def test_replaced_store_is_read_anew(store_path: Path) -> None:
    old = MoleculeStore(store_path)
    write(store_path, [chain(100)])
    assert MoleculeStore(store_path)[0].row == 100
    assert old[0].row == 0  # still the file that it opened


def test_reader_crosses_a_fork(store_path: Path) -> None:
    first, second = MoleculeStore(store_path), MoleculeStore(store_path)
    read, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # every way out must end the process, not the test run
        try:
            rows = [first[1].row, second[2].row, MoleculeStore(store_path)[3].row]
            os.write(write_end, repr(rows).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"[1, 2, 3]"
    assert first[0].row == 0
    os.close(read)
    os.close(write_end)


def rows_of(store: Any) -> Any:
    return [record.row for record in store]


def test_reader_crosses_a_spawn(store_path: Path) -> None:
    store = MoleculeStore(store_path)
    assert store[0].row == 0  # open here
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(rows_of, (store,)) == [0, 1, 2, 3]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_data_loader_workers_read(store_path: Path, start: str) -> None:
    data = pytest.importorskip("torch.utils.data")
    store = MoleculeStore(store_path)
    assert store[1].row == 1
    loader = data.DataLoader(
        store, batch_size=None, num_workers=1, multiprocessing_context=start, shuffle=False
    )
    assert [record.row for record in loader] == [0, 1, 2, 3]


def test_pickled_reader_is_small_and_equal(store_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(MoleculeStore(store_path)))
    assert copy[2].n_atoms == 250
    assert copy.meta.count == 4


def test_what_a_killed_process_left_beside_a_store_is_not_heeded(store_path: Path) -> None:
    """A lock file of LMDB's own, as other programs make it, and a half-written store."""
    store_path.with_name(f"{store_path.name}-lock").write_bytes(b"\xff" * 8192)
    store_path.with_name(f".{store_path.name}.0123456789ab.partial").write_bytes(b"half")
    before = len(MoleculeStore(store_path))
    write(store_path, [chain(5)])
    assert (before > 1, len(MoleculeStore(store_path))) == (True, 1)


def test_missing_file_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"nowhere\.lmdb does not exist; .*moleblend build"):
        MoleculeStore(tmp_path / "nowhere.lmdb")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="is not a file"):
        MoleculeStore(tmp_path)


@pytest.mark.parametrize("content", [b"", b"CCO ethanol\n", b"\0" * 8192])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.lmdb"
    path.write_bytes(content)
    with pytest.raises(MoleblendError, match="cannot be read as a store"):
        MoleculeStore(path)


def test_foreign_lmdb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.lmdb"
    damage(path, lambda txn: txn.put(b"0", b"a pickled molecule"))
    with pytest.raises(MoleblendError, match="without a __meta__ record"):
        MoleculeStore(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_truncated_store_is_refused(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "train.lmdb", (chain(row, 30) for row in range(500)))
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(MoleblendError, match="is truncated"):
        MoleculeStore(path)


def change_meta(**changes: int) -> Callable[..., Any]:
    def change(txn: Any) -> None:
        raw = msgpack.unpackb(unseal(META_KEY, txn.get(META_KEY)), raw=False) | changes
        txn.put(META_KEY, seal(META_KEY, msgpack.packb(raw)))

    return change


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_other_schema_is_refused(store_path: Path, version: int) -> None:
    damage(store_path, change_meta(schema_version=version))
    with pytest.raises(
        MoleblendError, match=f"schema version {version}, this package reads 2 and {SCHEMA_VERSION}"
    ):
        MoleculeStore(store_path)


def test_other_schema_is_named_even_when_its_fields_differ(store_path: Path) -> None:
    content = msgpack.packb({"schema_version": 99, "molecules": 3})
    damage(store_path, lambda txn: txn.put(META_KEY, seal(META_KEY, content)))
    with pytest.raises(MoleblendError, match="schema version 99"):
        MoleculeStore(store_path)


def test_a_store_from_before_checksums_is_named(store_path: Path) -> None:
    plain = msgpack.packb({"schema_version": 1, "count": 4})
    damage(store_path, lambda txn: txn.put(META_KEY, plain))
    with pytest.raises(MoleblendError, match=f"schema version 1, this package reads 2 and {SCHEMA_VERSION}"):
        MoleculeStore(store_path)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "value", [b"\xc1", b"garbage", msgpack.packb([1]), msgpack.packb({"schema_version": SCHEMA_VERSION})]
)
def test_damaged_metadata_is_refused(store_path: Path, value: bytes, sealed: bool) -> None:
    damage(store_path, lambda txn: txn.put(META_KEY, seal(META_KEY, value) if sealed else value))
    with pytest.raises(MoleblendError, match="damaged metadata"):
        MoleculeStore(store_path)


def test_wrong_list_of_sizes_is_refused(store_path: Path) -> None:
    damage(store_path, lambda txn: txn.put(N_ATOMS_KEY, seal(N_ATOMS_KEY, b"\1\0")))
    with pytest.raises(MoleblendError, match="sizes of 1 molecules but counts 4"):
        MoleculeStore(store_path)


def test_damaged_list_of_sizes_is_refused(store_path: Path) -> None:
    damage(store_path, lambda txn: txn.put(N_ATOMS_KEY, txn.get(N_ATOMS_KEY)[:-1] + b"\7"))
    with pytest.raises(MoleblendError, match="damaged list of sizes"):
        MoleculeStore(store_path)


def put_record(content: bytes) -> Callable[..., Any]:
    return lambda txn: txn.put(record_key(2), seal(record_key(2), content))


def change_record(**changes: Any) -> Any:
    def change(txn: Any) -> None:
        raw = msgpack.unpackb(unseal(record_key(2), txn.get(record_key(2))), raw=False) | changes
        put_record(msgpack.packb(raw))(txn)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put_record(b"\xc1 no msgpack"), "not msgpack"),
        (put_record(msgpack.packb({"row": 1})), "missing or wrong field 'atom_codes'"),
        (put_record(msgpack.packb(17)), "missing or wrong field"),
        (lambda txn: txn.put(record_key(2), b""), "its 0 bytes differ from their checksum"),
        (lambda txn: txn.put(record_key(2), txn.get(record_key(2))[:-1]), "differ from their checksum"),
        (lambda txn: txn.put(record_key(2), txn.get(record_key(1))), "differ from their checksum"),
        (change_record(atom_codes=b""), "no atoms"),
        (change_record(atom_codes=b"\xff" * 9 * 250), "code beyond its table"),
        (change_record(bonds=b"\xff" * 4 * 249), "a bond names atom 65535 of 250"),
        (change_record(bonds=b"\0" * 4), "1 bonds but 249 bond codes"),
        (change_record(coords=b"\0" * 12), "cannot reshape"),
        *(
            (change_record(coords=np.full(750, number, "<f4").tobytes()), "no finite numbers below 1,000,000")
            for number in (np.nan, np.inf, -np.inf, 1e30)  # a loss would take distances beyond every table
        ),
        (lambda txn: txn.delete(record_key(2)), "no value for key 0000000002"),
    ],
)
def test_damaged_value_names_file_key_and_reason(
    store_path: Path, change: Callable[..., Any], words: str
) -> None:
    damage(store_path, change)
    store = MoleculeStore(store_path)
    with pytest.raises(DamagedValue, match=words) as caught:
        store[2]
    assert str(store_path) in str(caught.value)
    assert "0000000002" in str(caught.value)
    assert store[3].row == 3


def test_wrong_number_of_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="mols.smi:4 has 1 targets, the store has 2"):
        write(tmp_path / "train.lmdb", [chain(4, targets=(1.0,))])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_store_and_nothing_else(store_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power"):
        write(store_path, (chain(row) if row < 1500 else fail() for row in range(2000)))
    assert [item.name for item in store_path.parent.iterdir()] == ["train.lmdb"]
    assert len(MoleculeStore(store_path)) == 4


def fail() -> None:
    raise RuntimeError("power")


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MoleblendError, match=r"cannot write .*train\.lmdb .*; name a folder"):
        write(tmp_path / folder / "train.lmdb", [chain(0)])
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


FULL_DISK = """
import resource, sys
sys.path.insert(0, {here!r})
from test_store import chain, write
from moleblend_plugin.errors import MoleblendError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    write({path!r}, (chain(row, 60) for row in range(3000)))
except MoleblendError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [1000, 300_000])
def test_a_full_disk_leaves_the_old_store_and_one_clear_line(store_path: Path, limit: int) -> None:
    code = FULL_DISK.format(here=os.path.dirname(__file__), limit=limit, path=str(store_path))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    assert f"cannot write {store_path}" in run.stdout
    assert "free space" in run.stdout
    assert run.stdout.count("\n") == 1
    assert [item.name for item in store_path.parent.iterdir()] == ["train.lmdb"]
    assert len(MoleculeStore(store_path)) == 4


def test_a_checksum_is_the_crc32_of_key_and_content() -> None:
    # printf 'keycontent' | gzip -c | tail -c8 | head -c4 | od -tx1
    assert seal(b"key", b"content") == bytes.fromhex("7636cf0c") + b"content"
    assert unseal(b"key", seal(b"key", b"content")) == b"content"
    with pytest.raises(ValueError, match="its 11 bytes differ"):
        unseal(b"kex", seal(b"key", b"content"))
