"""Sources: streams of rows or rejections, with row numbers, from every format; bad files in one line."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.readers.npz import mol_block
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.sdf import take_apart
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import MoleculeRecord, Rejection


def write(folder: Path, name: str, content: bytes | str) -> Path:
    """A file, gzipped where its name says so."""
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(path: Path, **columns: str | tuple[str, ...]) -> list[RawRow | Rejection]:
    return list(open_molecules(path, Columns(**columns)))


def texts(rows: Source | list[RawRow]) -> list[tuple[int, str]]:
    return [(row.row, row.text) for row in rows]


SDF = """first
  test      3D

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1000 C   0  0  0  0  0  0
    1.4000    0.0000    0.0000 O   0  0  0  0  0  0
  1  2  1  0
M  END
>  <gap>  (1)
1.5

> <note>
two
lines

> <part>
test

$$$$
broken
nothing that a reader knows
$$$$
third


  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  0  0  0  0  0
M  END
> <gap>
abc

$$$$
fourth


  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  0  0  0  0  0
M  END
"""


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.SMILES"])
def test_smi_with_names_blank_lines_and_comments(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "CCO ethanol\n\n# a comment\nC1CC1\tcyclopropane x\r\n  N  \n")
    assert texts(read(path)) == [(0, "CCO"), (1, "C1CC1"), (2, "N")]


def test_smi_header_is_skipped_only_at_the_top(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, "a.smi", "smiles name\nCCO x\n"))) == [(0, "CCO")]
    assert texts(read(write(tmp_path, "b.smi", "CCO x\nsmiles name\n"))) == [(0, "CCO"), (1, "smiles")]


@pytest.mark.parametrize(("name", "comma"), [("a.csv", ","), ("a.csv.gz", ","), ("a.tsv", "\t")])
def test_tables(tmp_path: Path, name: str, comma: str) -> None:
    lines = ["\ufeffid,Smiles,y,z", '1,CCO,1.5,"2"', "", "2,N,,nan", "3, C ,-1e-3,NA"]
    rows = read(write(tmp_path, name, "\r\n".join(lines).replace(",", comma)), targets=("z", "y"))
    assert texts(rows) == [(0, "CCO"), (1, "N"), (2, "C")]
    assert rows[0].targets == (2.0, 1.5)
    assert all(math.isnan(value) for value in rows[1].targets)
    assert math.isnan(rows[2].targets[0])
    assert rows[2].targets[1] == -0.001


def test_table_takes_the_named_column_and_the_split(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "smiles,mol,part\nC,CC,train\nN,NN, test \n")
    rows = read(path, smiles="mol", split="part")
    assert texts(rows) == [(0, "CC"), (1, "NN")]
    assert [row.split for row in rows] == ["train", "test"]


def test_bad_rows_of_a_table_are_rejections_with_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "smiles,y\nC,1\nN\nO,abc\nF,inf\nCC,1_000\nCl,2,3\nBr,4\n")
    rows = read(path, targets=("y",))
    assert [row.row for row in rows] == list(range(7))
    assert [row.row for row in rows if isinstance(row, RawRow)] == [0, 6]
    assert [row.reason for row in rows if isinstance(row, Rejection)] == [
        "wrong number of cells: 1 instead of 2 (line 3)",
        "target is no number: column 'y' holds 'abc', a word; classes are 0 and 1: give --positive and "
        "--negative WORD, or --missing-label 'abc' where it means missing",
        "target is no number: column 'y' holds 'inf', infinity; correct it or leave it empty",
        "target is no number: column 'y' holds '1_000', signs or blanks between digits; write plain digits "
        "with a decimal point",
        "wrong number of cells: 3 instead of 2 (line 7)",
    ]
    assert rows[2].text == "O"


def test_bytes_that_are_no_text_cost_only_their_row(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"smiles,name\nC,caf\xe9\nN\xff,x\n")
    kept = [convert(row, ConversionConfig()) for row in read(path)]
    assert isinstance(kept[0], MoleculeRecord)
    assert kept[1].reason == "SMILES syntax: characters beyond ASCII"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"targets": ("homoo",)}, "no column 'homoo'; did you mean 'Homo'? (columns: mol_id, Homo, smiles)"),
        ({"smiles": "SMILES"}, "no column 'SMILES'; did you mean 'smiles'?"),
        ({"split": "zzz"}, "no column 'zzz' (columns: mol_id, Homo, smiles)"),
    ],
)
def test_a_wrong_column_lists_those_there_are(
    tmp_path: Path, wanted: dict[str, str | tuple[str]], words: str
) -> None:
    path = write(tmp_path, "a.csv", "mol_id,Homo,smiles\n1,2,C\n")
    with pytest.raises(MoleblendError) as caught:
        read(path, **wanted)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_many_columns_are_not_all_listed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ",".join(f"c{n}" for n in range(500)) + "\n")
    with pytest.raises(MoleblendError, match="c29 and 470 more"):
        read(path)


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="2 columns named 'y'"):
        read(write(tmp_path, "a.csv", "smiles,y,y\nC,1,2\n"), targets=("y",))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "\n\n", "is empty"),
        ("a.csv", "smiles,y\n", "no rows"),
        ("a.smi", "\n# nothing\n", "holds no molecules"),
        ("a.sdf", "\n", "holds no molecules"),
        ("a.npz", b"PK", "cannot be read as an .npz"),
        ("a.txt", "neither", "begins with 'neither', and its name has no ending that names its format"),
        ("a.csv.gz", None, "damaged or truncated"),
    ],
)
def test_files_without_molecules_are_one_clear_line(
    tmp_path: Path, name: str, content: bytes | str | None, words: str
) -> None:
    path = tmp_path / name
    if content is None:  # a gzip file without its second half
        whole = gzip.compress(b"smiles\n" + b"".join(b"C" * n + b"\n" for n in range(500)))
        path.write_bytes(whole[: len(whole) // 2])
    else:
        write(tmp_path, name, content)
    with pytest.raises(MoleblendError, match=words) as caught:
        read(path)
    assert name in str(caught.value)


def test_what_a_file_holds_decides_whether_it_is_compressed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.smi.gz", tmp_path / "a.smi"
    plain.write_text("CCO\n")
    packed.write_bytes(gzip.compress(b"CCN\n"))
    for path, text, note in (
        (plain, "CCO", "a.smi.gz is not compressed, although its name ends in .gz"),
        (packed, "CCN", "a.smi is compressed by gzip, although its name does not say so"),
    ):
        source = open_molecules(path)
        assert texts(source) == [(0, text)]
        assert source.notes == [note]


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.smi.gz"
    path.write_bytes(gzip.compress(b"CCO\n")[:10] + b"nonsense")
    with pytest.raises(MoleblendError, match="damaged or truncated"):
        read(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"none\.csv does not exist"):
        open_molecules(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MoleblendError, match="is not a file"):
        open_molecules(tmp_path / "folder.csv")


def test_columns_of_a_smi_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.smi", "C\n")
    with pytest.raises(MoleblendError, match="has no named columns"):
        open_molecules(path, Columns(targets=("y",)))


@pytest.mark.parametrize("name", ["a.sdf", "a.sdf.gz"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_sdf_records_one_by_one(tmp_path: Path, name: str, ends: str) -> None:
    rows = read(write(tmp_path, name, SDF.replace("\n", ends)), targets=("gap",), split="part")
    assert [row.row for row in rows] == [0, 1, 2, 3]
    assert rows[0].targets == (1.5,)
    assert rows[0].split == "test"
    assert rows[2].reason.startswith("target is no number: column 'gap' holds 'abc', a word")
    assert math.isnan(rows[3].targets[0])
    assert [row.shown if isinstance(row, RawRow) else row.text for row in rows] == [
        "first", "broken", "third", "fourth",
    ]  # fmt: skip
    outcomes = [convert(row, ConversionConfig()) for row in rows if isinstance(row, RawRow)]
    assert outcomes[0].smiles == "CO"
    np.testing.assert_allclose(outcomes[0].coords, [[[0, 0, 0.1], [1.4, 0, 0]]], atol=1e-6)
    assert (outcomes[1].row, outcomes[1].text) == (1, "broken")
    assert outcomes[2].smiles == "N"


def test_tags_of_several_lines_and_the_block_alone() -> None:
    record = SDF.split("$$$$")[0].rstrip("\n").split("\n")
    block, tags = take_apart(record)
    assert block.endswith("M  END\n")
    assert tags == {"gap": "1.5", "note": "two\nlines", "part": "test"}


def test_a_tag_that_no_record_has_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.sdf", SDF)
    with pytest.raises(MoleblendError, match=r"no data item 'gapp'; did you mean 'gap'\?"):
        read(path, targets=("gapp",))


def test_an_sdf_written_by_rdkit_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.sdf"
    smiles = ["CCO", "c1ccccc1", "[NH4+].[Cl-]"]
    with Chem.SDWriter(str(path)) as writer:
        for text in smiles:
            mol = Chem.MolFromSmiles(text)
            mol.SetProp("y", "3")
            writer.write(mol)
    rows = read(path, targets=("y",))
    assert [row.targets for row in rows] == [(3.0,)] * 3
    assert [convert(row, ConversionConfig()).smiles for row in rows] == [Chem.CanonSmiles(s) for s in smiles]


def geometries() -> dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]:
    """Methanol and ammonium, hydrogens included, as one collection."""
    rng = np.random.default_rng(0)
    return {
        "n_atoms": np.array([6, 5]),
        "n_bonds": np.array([5, 4]),
        "atomic_number": np.array([6, 8, 1, 1, 1, 1, 7, 1, 1, 1, 1]),
        "formal_charge": np.array([0] * 6 + [1] + [0] * 4),
        "pos_angstrom": rng.normal(0, 2, (11, 3)).round(4).astype(np.float32),
        "bonds_i_j_order": np.array(
            [
                [0, 1, 1],
                [0, 2, 1],
                [0, 3, 1],
                [0, 4, 1],
                [1, 5, 1],
                [0, 1, 1],
                [0, 2, 1],
                [0, 3, 1],
                [0, 4, 1],
            ]
        ),
        "index": np.array([11, 12]),
    }


def test_npz_geometries(tmp_path: Path) -> None:
    arrays = geometries()
    np.savez(tmp_path / "a.npz", **arrays)
    rows = read(tmp_path / "a.npz", targets=("index",))
    assert [row.targets for row in rows] == [(11.0,), (12.0,)]
    methanol, ammonium = (convert(row, ConversionConfig()) for row in rows)
    assert (methanol.smiles, ammonium.smiles) == ("CO", "[NH4+]")
    np.testing.assert_allclose(methanol.coords[0], arrays["pos_angstrom"][:2], atol=1e-4)
    np.testing.assert_allclose(ammonium.coords[0], arrays["pos_angstrom"][6:7], atol=1e-4)


def test_npz_with_decimal_commas(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **geometries(), text=np.array(["1,5", "2,25"]))
    assert [row.targets for row in read(tmp_path / "a.npz", targets=("text",))] == [(1.5,), (2.25,)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_bonds": None}, "no array 'n_bonds'"),
        ({"pos_angstrom": np.zeros((4, 3))}, r"pos_angstrom of shape \(4, 3\), expected \(11, 3\)"),
        ({"n_atoms": np.array([6, 4])}, "expected"),
    ],
)
def test_npz_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64] | None], words: str
) -> None:
    arrays = {name: array for name, array in (geometries() | change).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(MoleblendError, match=words):
        read(tmp_path / "a.npz")


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **geometries(), extra=np.array([{}, {}], object))
    with pytest.raises(MoleblendError, match="npz of plain arrays"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("numbers", "bonds", "words"),
    [
        ([6, 200], [[0, 1, 1]], "unknown element"),
        ([6, 6], [[0, 2, 1]], "bond to a missing atom"),
        ([1] * 1000, [], "use an SDF"),
    ],
)
def test_what_a_mol_block_cannot_say_is_refused(
    numbers: list[int], bonds: list[list[int]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        mol_block("t", np.array(numbers), np.zeros(len(numbers), int), np.zeros((len(numbers), 3)),
                  np.array(bonds, int).reshape(-1, 3))  # fmt: skip


def test_a_bad_molecule_of_an_npz_is_a_rejection(tmp_path: Path) -> None:
    arrays = geometries()
    arrays["atomic_number"][0] = 300
    np.savez(tmp_path / "a.npz", **arrays)
    first, second = read(tmp_path / "a.npz")
    assert (first.row, first.reason) == (0, "unknown element: atomic numbers 1 to 300")
    assert isinstance(second, RawRow)


def test_progress(tmp_path: Path) -> None:
    path = write(tmp_path, "a.smi", "C\n" * 100_000)
    source = open_molecules(path)
    rows = iter(source)
    next(rows)
    assert 0 < source.fraction_read < 1
    assert sum(1 for _ in rows) == 99_999
    assert source.fraction_read == 1.0


def test_a_long_cell_and_a_broken_quote_do_not_stop_the_stream(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "smiles,note\nC," + "x" * 300_000 + '\nN,"open quote\nO,1\n')
    assert texts(read(path)) == [(0, "C"), (1, "N"), (2, "O")]
