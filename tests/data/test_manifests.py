"""A store whose records lie in pieces reads as one file does, in any process, with few files open at once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np
import pytest
from torch.utils.data import DataLoader

from moleblend_plugin.data.store import environment, manifest
from moleblend_plugin.data.store.environment import close_recent, most_open
from moleblend_plugin.data.store.manifest import ManifestWriter
from moleblend_plugin.data.store.piece_file import PieceFile, PieceWriter
from moleblend_plugin.data.store.pieces import PIECES_KEY, index_key
from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore, StoreWriter, is_store
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord
from tests.data.test_store import chain, damage

SIZES = (4, 1, 0, 7, 3)
"""Molecules of the pieces."""
COUNT = sum(SIZES)


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    close_recent()


def records(sizes: tuple[int, ...] = SIZES) -> list[MoleculeRecord]:
    return [chain(row, 1 + row % 5) for row in range(sum(sizes))]


def write_piece(path: Path, held: list[MoleculeRecord], note: str = "") -> str:
    """Hash of the piece."""
    with PieceWriter(path, settings={}, target_names=("a", "b")) as writer:
        for record in held:
            writer.add_encoded(encode_record(record), record.n_atoms)
        writer.add_facts("molecules", [(record.row, note) for record in held])
        writer.head = {"note": note}
    return PieceFile(path).hash


def write_manifest(folder: Path, sizes: tuple[int, ...] = SIZES, every: int = 1, name: str = "train") -> Path:
    """A manifest of every so many-th molecule of pieces beside its folder; ``NAME.one.lmdb`` has the same."""
    folder.mkdir()
    named, start = [], 0
    for number, size in enumerate(sizes):
        path = folder.parent / f"{number}.piece"
        named.append((f"../{path.name}", write_piece(path, records(sizes)[start : start + size])))
        start += size
    common = {"settings": {"seed": 1}, "sources": {}, "target_names": ("a", "b")}
    path = folder / f"{name}.lmdb"
    with (
        ManifestWriter(path, named, every == 1, **common) as writer,
        StoreWriter(folder / f"{name}.one.lmdb", **common) as one,
    ):
        places = [(piece, place) for piece, size in enumerate(sizes) for place in range(size)]
        for (piece, place), record in list(zip(places, records(sizes), strict=True))[::every]:
            writer.add_place(piece, place, record.n_atoms)
            one.add(record)
    return path


def same(path: Path) -> bool:
    """Whether all records of a manifest are those of the one file, in order, backwards and at random."""
    store, one = MoleculeStore(path), MoleculeStore(path.with_suffix(".one.lmdb"))
    order = np.random.default_rng(0).permutation(len(one)).tolist()
    orders = (range(len(one)), range(len(one) - 1, -1, -1), order)
    return len(store) == len(one) and all(
        [encode_record(store[i]) for i in wanted] == [encode_record(one[i]) for i in wanted]
        for wanted in orders
    )


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_manifest_reads_as_one_file(tmp_path: Path, every: int) -> None:
    path = write_manifest(tmp_path / "store", every=every)
    store, one = MoleculeStore(path), MoleculeStore(path.with_suffix(".one.lmdb"))
    assert same(path)
    assert is_store(path)
    assert store.n_atoms.tolist() == one.n_atoms.tolist()
    assert store.meta.fingerprint == one.meta.fingerprint
    assert store.meta.count == -(-COUNT // every)
    with pytest.raises(IndexError, match=f"holds {len(one)} molecules, no number {COUNT}"):
        store[COUNT]


def test_an_index_of_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "INDEX_BLOCK", 4)
    path = write_manifest(tmp_path / "store", (9, 3, 16), every=2)
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as env, env.begin() as txn:
        assert [len(txn.get(index_key(block))) for block in range(4)] == [4 + 4 * 4] * 3 + [4 + 4 * 2]
    assert same(path)


def test_no_more_pieces_are_open_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_manifest(tmp_path / "store", (2,) * 12, every=1)
    store = MoleculeStore(path)
    monkeypatch.setattr(environment, "most_open", lambda: 3)
    expected = records((2,) * 12)
    before = open_files()
    for index in np.random.default_rng(1).permutation(np.repeat(np.arange(24), 3)).tolist():
        assert encode_record(store[index]) == encode_record(expected[index])
        assert len(environment._RECENT) <= 3
        assert open_files() <= before + 3
    close_recent()
    assert open_files() == before


def open_files() -> int:
    paths = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
    return sum(path.endswith(".piece") for path in paths)


def test_who_reads_in_order_leaves_no_piece_open(tmp_path: Path) -> None:
    store = MoleculeStore(write_manifest(tmp_path / "store"))
    seen = []
    for _ in store:
        seen.append(open_files())
    assert seen == [1] * 3 + [0] + [0] + [1] * 6 + [0] + [1] * 2 + [0]


def test_two_stores_of_the_same_pieces(tmp_path: Path) -> None:
    """Train and valid of one build read the same files, which a process may open once only."""
    path = write_manifest(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "again")
    stores = [MoleculeStore(path), MoleculeStore(tmp_path / "again" / "train.lmdb")]
    piece = MoleculeStore(tmp_path / "0.piece")
    for index in range(3):
        assert len({encode_record(store[index]) for store in (*stores, piece)}) == 1
    assert len(environment._RECENT) == 1


def test_the_bound_follows_the_files_that_a_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((1024, 256), (100, 50), (4, 4), (resource.RLIM_INFINITY, 256)):
        most_open.cache_clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_open() == most
    most_open.cache_clear()


def test_a_fork_inherits_no_open_piece(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "store")
    store = MoleculeStore(path)
    first = encode_record(store[0])
    assert open_files() == 1
    pid = os.fork()
    if not pid:
        code = 1
        try:
            if open_files() == 0 and encode_record(store[0]) == first and open_files() == 1:
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert encode_record(store[0]) == first
    assert same(path)


@dataclass
class Encoded:
    """Items of a loader."""

    store: MoleculeStore

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> bytes:
        return encode_record(self.store[index])


def test_forked_workers_read_all(tmp_path: Path) -> None:
    store = MoleculeStore(write_manifest(tmp_path / "store", every=2))
    _ = store[0]
    context = multiprocessing.get_context("fork")
    loader = DataLoader(Encoded(store), batch_size=None, num_workers=1, multiprocessing_context=context)
    assert list(loader) == [encode_record(record) for record in records()[::2]]
    assert encode_record(pickle.loads(pickle.dumps(store))[1]) == encode_record(records()[2])


def test_threads_read_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_manifest(tmp_path / "store", (2,) * 12)
    monkeypatch.setattr(environment, "most_open", lambda: 2)
    wrong: list[int] = []
    read_to_the_end: list[int] = []

    def read(seed: int) -> None:
        store = MoleculeStore(path)
        for index in np.random.default_rng(seed).integers(24, size=300).tolist():
            if store[index].row != index:
                wrong.append(index)
        read_to_the_end.append(300)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert read_to_the_end == [300] * 4


def test_a_piece_that_is_gone_or_another_is_named(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "store")
    store, piece = MoleculeStore(path), tmp_path / "3.piece"
    aside = piece.rename(tmp_path / "aside")
    with pytest.raises(MoleblendError, match=r"needs .*3\.piece, which is not there: bring it back, or run"):
        store[8]
    assert store[0].row == 0  # others are read
    write_piece(piece, records()[5:12], note="other facts")
    for opened in (store, MoleculeStore(path)):
        with pytest.raises(MoleblendError, match=r"was joined of another .*3\.piece than the one that is"):
            opened[8]
    shutil.copy(tmp_path / "0.piece", piece)
    with pytest.raises(MoleblendError, match=r"was joined of another .*3\.piece"):
        store[8]
    piece.unlink()
    shutil.copy(path.with_suffix(".one.lmdb"), piece)  # no piece at all
    with pytest.raises(MoleblendError, match=r"was joined of another .*3\.piece"):
        store[8]
    piece.unlink()
    piece.write_bytes(aside.read_bytes()[:9000])
    with pytest.raises(MoleblendError, match=r"3\.piece is truncated"):
        store[8]
    piece.unlink()
    piece.write_bytes(b"")
    with pytest.raises(MoleblendError, match=r"3\.piece, which cannot be read \("):
        store[8]
    piece.unlink()
    write_piece(piece, records()[5:12])  # made again: the same
    assert store[8].row == 8
    assert not isinstance(MoleblendError, DamagedValue)


def test_damage_is_told_with_its_file(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "store", every=2)
    damage(tmp_path / "0.piece", lambda txn: txn.put(b"0000000002", b"rubbish of a value"))
    damage(tmp_path / "3.piece", lambda txn: txn.delete(b"0000000001"))
    store = MoleculeStore(path)
    with pytest.raises(DamagedValue, match=r"0\.piece has a damaged value for key 0000000002 \(its 18 bytes"):
        store[1]
    with pytest.raises(DamagedValue, match=r"3\.piece has no value for key 0000000001"):
        store[3]
    assert store[0].row == 0
    shutil.copy(path, path.with_name("short.lmdb"))
    damage(path.with_name("short.lmdb"), lambda txn: txn.put(index_key(0), b"rubbish"))
    said = r"short\.lmdb has a damaged index, block 0 \(its 7 bytes .*moleblend join"
    with pytest.raises(MoleblendError, match=said) as raised:  # not a row to leave out: a thousand of them
        MoleculeStore(path.with_name("short.lmdb"))[0]
    assert not isinstance(raised.value, DamagedValue)
    shutil.copy(path, path.with_name("list.lmdb"))
    damage(path.with_name("list.lmdb"), lambda txn: txn.put(PIECES_KEY, b"rubbish"))
    with pytest.raises(MoleblendError, match=r"list\.lmdb has a damaged list of pieces \(its 7 bytes"):
        MoleculeStore(path.with_name("list.lmdb"))


def test_a_manifest_holds_no_record_and_moves_with_its_pieces(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = write_manifest(tmp_path / "a" / "store")
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as env, env.begin() as txn:
        assert [bytes(key) for key, _ in txn.cursor()] == [b"__meta__", b"__n_atoms__", b"__pieces__"]
    (tmp_path / "a").rename(tmp_path / "b")
    assert same(tmp_path / "b" / "store" / "train.lmdb")
