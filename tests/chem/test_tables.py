"""Tables as people send them: each irregularity is read right, or the line and the reason are told."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path

import pytest

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.chem.readers.tables import read_cells
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import open_molecules


def source(
    folder: Path, content: bytes | str, name: str = "a.csv", **columns: str | tuple[str, ...]
) -> Source:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_molecules(path, Columns(**{"targets": ("y",)} | columns))


def shown(rows: Source) -> dict[int | str, float | str]:
    """Labels of sound rows by SMILES, and reasons of the others by row."""
    return {
        (row.text if isinstance(row, RawRow) else row.row): (
            row.targets[0] if isinstance(row, RawRow) else row.reason
        )
        for row in rows
    }


# quotes


@pytest.mark.parametrize(
    "content",
    [
        'smiles,name,y\nCCO,a,1\nCCN,"b,2\nCCC,c,3\nCCCl,d",4\n',  # as if lines 3 to 5 were one row
        'smiles,name,y\nCCO,"a,1\nCCN,"b,2\nCCC,c,3\nCCCl,d,4\n',  # never closed
        'smiles,name,y\nCCO,5"-a,1\nCCN,"5"-b,2\nCCC,3\'-x",3\nCCCl,"d""e,f",4\n',
        'name,y,smiles\n"a,1,CCO\nb,2,CCN\n"c,3,CCC\nd"",4,CCCl\n',
        'y;name;smiles\n1;"a;CCO\n2;b;CCN\n3;c";CCC\n4;d;CCCl\n',
    ],
)
def test_a_quote_that_is_not_closed_moves_no_label(tmp_path: Path, content: str) -> None:
    assert shown(source(tmp_path, content)) == {"CCO": 1, "CCN": 2, "CCC": 3, "CCCl": 4}


@pytest.mark.parametrize(
    "content",
    [
        'smiles;y;note\nCCO;1,5;"a\nCCN;2,5;x\nCCC;3,5;b"\nCCCl;4,5;\n',  # decimal commas
        'smiles,y,note\nCCO,1.5,"a\nCCN,2.5\nCCC,3.5,b"\nCCCl,4.5,\n',  # without the empty cells at the end
    ],
)
def test_an_open_quote_swallows_no_row_of_any_kind(tmp_path: Path, content: str) -> None:
    rows = {"CCO": 1.5, "CCN": 2.5, "CCC": 3.5, "CCCl": 4.5}
    assert shown(source(tmp_path, content)) == rows
    assert [row.text for row in source(tmp_path, content, targets=())] == list(rows)


def test_short_lines_behind_an_open_quote_are_rows(tmp_path: Path) -> None:
    content = 'smiles,y,note\nCCO,1,"a\nCCN,2\nCCC,3\n"\nCCCl,4,\n'
    rows = {"CCO": 1, "CCN": 2, "CCC": 3, 3: "unclosed quote: line 5", "CCCl": 4}
    assert shown(source(tmp_path, content)) == rows
    assert len(list(source(tmp_path, content, targets=()))) == len(rows)


def test_a_cell_of_several_lines_in_a_short_row(tmp_path: Path) -> None:
    content = 'smiles,y,note,more\nCCO,1,"two\nlines"\nCCN,2,a,b\nCCC,3,"x\ny",z\n'
    assert shown(source(tmp_path, content)) == {"CCO": 1, "CCN": 2, "CCC": 3}
    assert [row.text for row in source(tmp_path, content, targets=())] == ["CCO", "CCN", "CCC"]


def test_a_comment_of_several_lines_stays_one_row(tmp_path: Path) -> None:
    content = 'smiles,y,note\nCCO,1,"first,\nno, 2\nCO,see"\nCCN,2,\n'
    assert shown(source(tmp_path, content)) == {"CCO": 1, "CCN": 2}
    assert [row.text for row in source(tmp_path, content, targets=())] == ["CCO", "CCN"]


@pytest.mark.parametrize("name", ["y", "t", "logS"])  # y and t are words for classes, too
def test_a_header_that_comes_again_is_refused_alone(tmp_path: Path, name: str) -> None:
    content = f"smiles,{name}\nsmiles,{name}\nCCO,1\nSmiles,{name}\nsmiles , {name}\nCCN,2\n"
    rows = list(source(tmp_path, content, targets=(name,)))
    reasons = {row.row: row.reason for row in rows if not isinstance(row, RawRow)}
    assert {row.text: row.targets[0] for row in rows if isinstance(row, RawRow)} == {"CCO": 1, "CCN": 2}
    assert (reasons[0], reasons[3]) == ("header line again: line 2", "header line again: line 5")
    assert len(list(read_cells(source(tmp_path, content, targets=(name,))))) == 6


def test_lines_with_open_quotes_are_told(tmp_path: Path) -> None:
    table = source(tmp_path, 'smiles,name,y\nCCO,a,1\nCCN,"b,2\nCCC,c,3\n')
    assert len(list(table)) == 3
    assert table.notes == [
        "a.csv has lines whose quote does not close there, each read as a row of its own: 1 (first: line 3)"
    ]


def test_a_cell_of_several_lines_is_one_row(tmp_path: Path) -> None:
    content = 'smiles,note,y\r\nCCO,"first, of\r\nthree ""lines""\r\n\r\nC",1\r\nCCN,"a ""b""",2\r\n'
    table = source(tmp_path, content)
    assert shown(table) == {"CCO": 1, "CCN": 2}
    assert table.notes == []


def test_an_open_quote_without_a_way_to_read_it_is_a_row_with_its_line(tmp_path: Path) -> None:
    table = source(tmp_path, 'smiles,name,y\nCCO,a,1\nCCN,"b\nCCC,c,3\n')
    assert shown(table) == {"CCO": 1, 1: "unclosed quote: line 3", "CCC": 3}


def test_a_header_of_several_lines(tmp_path: Path) -> None:
    table = source(tmp_path, 'smiles,"IC50\n(nM)"\nCCO,1\n', targets=("IC50 (nM)",))
    assert shown(table) == {"CCO": 1}
    with pytest.raises(MoleblendError, match="opens a quote in line 1 that does not close"):
        list(source(tmp_path, 'smiles,"y\nCCO,1\nCCN,2\n'))


# cells


def test_missing_and_extra_cells_at_the_end(tmp_path: Path) -> None:
    content = 'smiles,y,a,b\nC,1,p,q\nCC,2\nCCC,3,,,,\nCCCC,4,p,q,r\nCCCCC\nN,,p,q\n,,,\n,\n\nO,5,"",""\n'
    found = shown(source(tmp_path, content))
    assert math.isnan(found.pop("N"))
    assert found == {
        "C": 1, "CC": 2, "CCC": 3, "O": 5,
        3: "wrong number of cells: 5 instead of 4 (line 5)",
        4: "wrong number of cells: 1 instead of 4 (line 6)",
    }  # fmt: skip


def test_short_rows_are_told(tmp_path: Path) -> None:
    table = source(tmp_path, "smiles,y,a\nC,1\nCC,2,b\nCCC,3\n")
    list(table)
    assert table.notes == [
        "a.csv has lines with fewer cells than the header, those that they lack taken as empty: 2 "
        "(first: line 2)"
    ]


def test_cells_of_every_row_stand_beside_the_rows(tmp_path: Path) -> None:
    content = 'smiles,n,y\nCCO,"a,1\nCCN,b,2,c\nCC\0C,d,3\nCCC,"e\nf",4\nC\nCCF,"g\n'
    table = source(tmp_path, content, targets=())
    rows, cells = list(table), list(read_cells(table.again()))
    assert cells[0] == ["smiles", "n", "y"]
    assert [row[0] for row in cells[1:]] == ["CCO", "CCN", "CCC", "CCC", "C", "CCF"]
    assert len(rows) == len(cells) - 1


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("CC\nO", "line break in a SMILES"),
        ("CCO CCN", "more than one SMILES: 'CCO CCN'"),
        ("CCO\tN", "more than one SMILES: 'CCO\\tN'"),
        ("CCO;CCN", "more than one SMILES: 'CCO;CCN'"),
        ("CCO,CCN", "more than one SMILES: 'CCO,CCN'"),
        ("CCO / CCN", "more than one SMILES: 'CCO / CCN'"),
        ("CCO and C", "more than one SMILES: 'CCO and C'"),
        ("CCO | CCN", "more than one SMILES: 'CCO | CCN'"),
        ("CCO>>CC=O", "a reaction, not a molecule: 'CCO>>CC=O'"),
        ("CCO |nonsense|", "CXSMILES extension that RDKit does not read: '|nonsense|'"),
    ],
)
def test_a_cell_that_is_not_one_smiles_is_rejected(tmp_path: Path, cell: str, reason: str) -> None:
    (row,) = source(tmp_path, f'y,smiles\n1,"{cell}"\n')
    assert convert(row, ConversionConfig()).reason == reason


@pytest.mark.parametrize(
    ("cell", "smiles"),
    [(" CCO ", "CCO"), ("CCO ethanol", "CCO"), ("CC[CH2] |^1:2|", "[CH2]CC"), ("C* |$;R$|", "*C")],
)
def test_a_name_or_an_extension_behind_a_smiles_is_none(tmp_path: Path, cell: str, smiles: str) -> None:
    (row,) = source(tmp_path, f'y,smiles\n1,"{cell}"\n')
    assert convert(row, ConversionConfig()).smiles == smiles


# headers


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    assert shown(source(tmp_path, "smiles,Y,y\nC,1,2\n")) == {"C": 2}
    with pytest.raises(MoleblendError, match="'smiles' and 'SMILES'; say by --smiles-column"):
        list(source(tmp_path, "smiles,SMILES,y\nC,N,1\n"))
    assert shown(source(tmp_path, "smiles,SMILES,y\nC,N,1\n", smiles="SMILES")) == {"N": 1}


def test_a_name_that_is_there_twice_is_told_or_refused(tmp_path: Path) -> None:
    table = source(tmp_path, "smiles,z,z,y\nC,1,2,3\n")
    assert shown(table) == {"C": 3}
    assert table.notes == ["a.csv has several columns named z; none of them is used"]
    with pytest.raises(MoleblendError, match="2 columns named 'z'"):
        list(source(tmp_path, "smiles,z,z,y\nC,1,2,3\n", targets=("z",)))


def test_a_table_without_header_is_named(tmp_path: Path) -> None:
    for smiles in ("CCO", "C"):
        with pytest.raises(
            MoleblendError, match=f"first line holds '{smiles}', which is a SMILES: add a line"
        ):
            list(source(tmp_path, f"{smiles},1\nCCN,2\n", targets=()))
    with pytest.raises(MoleblendError, match="name the one of SMILES by --smiles-column"):
        list(source(tmp_path, "structure,N\nCCN,2\n", targets=()))


def test_names_in_errors_can_be_pasted(tmp_path: Path) -> None:
    table = source(tmp_path, 'smiles,"IC50, nM"," ""x"" "\nC,1,2\n', targets=("IC50",))
    with pytest.raises(MoleblendError) as caught:
        list(table)
    assert "a name with a comma is written in double quotes: '\"IC50, nM\"'" in str(caught.value)
    assert '(columns: smiles, "IC50, nM", """x""")' in str(caught.value)


def test_comments_are_passed_over_and_told(tmp_path: Path) -> None:
    table = source(tmp_path, "# made on Monday\n#, by X\nsmiles,y\nC,1\n# half way\nCC,2\n#3,4\n")
    assert shown(table) == {"C": 1, "CC": 2, "#3": 4}  # as many cells as the header: a row
    assert table.notes == ["a.csv has lines that begin with #, passed over: 3 (first: line 1)"]
    assert shown(source(tmp_path, "#smiles,y\nC,1\n")) == {"C": 1}


# separators


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize(
    "content",
    [
        "smiles;y;name\nC;1;a\nCC;2;b, c\n",
        "smiles\ty\tname\nC\t1\ta, x\nCC\t2\tb\n",
        "smiles,y,name\nC,1,a\nCC,2,b\n",
        "smiles|y|name\nC|1|a\nCC|2|b\n",
        'smiles   y name\nC        1 a\nCC       2 "b c"\n',
        "sep=;\nsmiles;y;name\nC;1;a\nCC;2;b\n",
        "name;SMILES;y\na;C;1\n;CC;2\n",
    ],
)
def test_other_separators(tmp_path: Path, name: str, content: str) -> None:
    assert shown(source(tmp_path, content, name)) == {"C": 1, "CC": 2}


def test_another_separator_is_told(tmp_path: Path) -> None:
    table = source(tmp_path, "smiles;y\nC;1\n")
    list(table)
    assert table.notes == ["a.csv has its columns separated by semicolons"]


def test_blanks_in_names_are_no_separators(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"no column 'smiles'.* \(columns: id, my smiles, y\)"):
        list(source(tmp_path, "id,my smiles,y\na,C,1\n"))


def test_decimal_commas(tmp_path: Path) -> None:
    for content in (
        "smiles;y\nC;1,5\nCC;2\nCCC;-0,25\nN;1,234\n",
        'smiles,y\nC,"1,5"\nCC,2\nCCC,"-0,25"\nN,"1,234"\n',
    ):
        table = source(tmp_path, content)
        assert shown(table) == {"C": 1.5, "CC": 2, "CCC": -0.25, "N": 1.234}
        assert "a.csv has decimal commas in column y: 1,5 is read as 1.5" in table.notes


def test_commas_and_points_in_one_column_are_refused(tmp_path: Path) -> None:
    found = shown(source(tmp_path, "smiles;y\nC;1,5\nCC;2.5\n"))
    assert "holds '1,5', a comma" in found[0]
    assert found["CC"] == 2.5
    late = "".join(f"{'C' * n};0,5\n" for n in range(1, 1100)) + "N;1.5\n"
    found = shown(source(tmp_path, "smiles;y\n" + late))
    assert "a point, where other rows have decimal commas" in found[1099]


def test_a_comma_that_may_be_for_thousands_is_refused(tmp_path: Path) -> None:
    found = shown(source(tmp_path, "smiles;y\nC;1,500\nCC;12,000\nCCC;2\n"))
    assert "holds '1,500', a comma" in found[0]
    assert "holds '12,000', a comma" in found[1]
    assert found["CCC"] == 2


# bytes


TEXT = "smiles,y,name\nC,1,é\nCC,2,b\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_compression_are_found_by_content(
    tmp_path: Path, encoding: str, name: str, packed: bool
) -> None:
    data = TEXT.encode(encoding)
    table = source(tmp_path, gzip.compress(data) if packed else data, name)
    assert shown(table) == {"C": 1, "CC": 2}
    assert list(read_cells(table.again()))[1] == ["C", "1", "é"]
    told = packed != name.endswith(".gz") or not encoding.startswith("utf-8")
    assert bool(table.notes) == told


def test_a_quoted_header_behind_a_byte_order_mark(tmp_path: Path) -> None:
    assert shown(source(tmp_path, '"smiles","y"\nC,1\n'.encode("utf-8-sig"))) == {"C": 1}


@pytest.mark.parametrize("name", ["löslichkeit", "Größe (µM)", "T °C", "IC₅₀", "溶解度"])
def test_a_header_beyond_ascii_is_read_as_written_or_refused(tmp_path: Path, name: str) -> None:
    for encoding in ("utf-8", "cp1252", "gbk", "utf-16"):
        try:
            data = f"smiles,{name}\nC,1\n".encode(encoding)
        except UnicodeEncodeError:
            continue
        table = source(tmp_path, data, targets=(name,))
        if name == "溶解度" and encoding == "gbk":
            with pytest.raises(MoleblendError, match="line 1.* not known: save the file as UTF-8"):
                list(table)
        elif encoding != "gbk":
            assert shown(table) == {"C": 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"PAR1\0\0"), "is a Parquet file in gzip, which is not read: unpack it with gunzip"),
        (b"BZh91AY&SY", "compressed by bzip2"),
        (b"\xfd7zXZ\0\0", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd\0", "compressed by zstd"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"old Excel workbook \(\.xls\)"),
        (b"\n <!DOCTYPE html><html>", "is a web page"),
        (gzip.compress(gzip.compress(b"smiles,y\nC,1\n")), "compressed twice"),
        (b"smiles,y\0\nC,1\n", "holds zero bytes"),
        (b"C" * (17 << 20), "no line end in its first"),
    ],
    ids=("parquet", "bzip2", "xz", "zstd", "xls", "html", "gzip twice", "zero bytes", "endless line"),
)
def test_other_files_under_the_name_of_a_table_are_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        list(source(tmp_path, data))


@pytest.mark.parametrize(
    ("inside", "words"),
    [("xl/workbook.xml", "Excel workbook"), ("a.csv", "ZIP archive"), ("y.npy", "no array 'n_atoms'")],
)
def test_archives_under_the_name_of_a_table_are_named(tmp_path: Path, inside: str, words: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(inside, "x")
    with pytest.raises(MoleblendError, match=words):
        list(source(tmp_path, data.getvalue()))


def test_zero_bytes_cost_their_rows_only(tmp_path: Path) -> None:
    found = shown(source(tmp_path, "smiles,y\nC,1\nC\0O,2\nCCC,3\n"))
    assert found == {"C": 1, 1: "zero byte: line 3", "CCC": 3}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    assert shown(source(tmp_path, end.join(["smiles,y", "C,1", "", "CC,2"]))) == {"C": 1, "CC": 2}


# lists


@pytest.mark.parametrize(
    "content",
    [
        "CCO ethanol\nCCN\tamine x\n",
        "smiles name\nCCO ethanol\nCCN amine\n",
        "name SMILES\nethanol CCO\namine CCN\n",
        "CCO,ethanol,1\nCCN,amine,2\n",
        "SMILES;name\nCCO;ethanol\nCCN;amine\n",
        "CCO|ethanol\nCCN|amine\n",
        '"CCO" ethanol\n"CCN" "an amine"\n',
    ],
)
def test_lists_with_other_separators_and_headers(tmp_path: Path, content: str) -> None:
    rows = source(tmp_path, content, "a.smi", targets=())
    assert [(row.row, row.text) for row in rows] == [(0, "CCO"), (1, "CCN")]


def test_an_extension_stays_with_its_smiles_in_a_list(tmp_path: Path) -> None:
    rows = source(tmp_path, "CC[CH2] |^1:2| propyl\nC |a name\n", "a.smi", targets=())
    assert [row.text for row in rows] == ["CC[CH2] |^1:2|", "C"]
