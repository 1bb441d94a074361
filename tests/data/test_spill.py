"""Finished rows on disk: what is whole is read back in the order of the rows, whatever else is there."""

import numpy as np
import pytest

from moleblend_plugin.building.finished_rows import Spill, finished, pack
from moleblend_plugin.data.store.record_codec import decode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection
from tests.molecules import make_record


def molecule(row):
    return make_record(4, row, targets=(row / 2, float("nan")))


def chunk(*rows):
    """Outcomes of ``rows``: odd ones are rejected."""
    return pack(
        [finished(Rejection("a", row, "x", "bad") if row % 2 else molecule(row), "s") for row in rows]
    )


def rows_of(path):
    with Spill(path) as spill:
        return [done.row for done in spill]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows"
    with Spill(path) as spill:
        for number in (1, 0, 3):  # in the order of completion
            spill.add(number, chunk(2 * number, 2 * number + 1))
    return path


def test_outcomes_come_in_the_order_of_rows(path):
    with Spill(path) as spill:
        assert (len(spill), spill.rows, spill.rejected) == (3, 6, 3)
        assert [number in spill for number in range(5)] == [True, True, False, True, False]
        first, second, *_ = spill
        spill.add(2, chunk(4, 5))
        assert [done.row for done in spill] == list(range(8))
    record = molecule(0)
    assert (first.n_atoms, first.with_3d, first.coords_from) == (4, True, "source")
    np.testing.assert_array_equal(first.labels, record.targets)
    assert decode_record(first.value).smiles == record.smiles
    assert (second.n_atoms, second.text, second.reason) == (0, "x", "bad")


def test_a_file_cut_anywhere_keeps_its_whole_frames(path):
    whole = path.read_bytes()
    kept = set()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        rows = rows_of(path)
        assert rows in ([], [2, 3], [0, 1, 2, 3])
        kept.add(len(rows))
        assert len(path.read_bytes()) <= size  # the torn rest is cut off
    assert kept == {0, 2, 4}


def test_a_changed_byte_costs_its_frame_and_what_came_later(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        assert rows_of(path) in ([], [2, 3], [0, 1, 2, 3])


def test_a_frame_that_changes_while_the_build_runs_is_an_error(path):
    with Spill(path) as spill, path.open("r+b") as file:
        file.seek(40)
        file.write(b"\xff\xff")
        file.flush()
        with pytest.raises(MoleblendError, match="rows cannot be read back .* run the command again"):
            list(spill)
