"""What clients get: every row with a prediction or a reason, the same as `moleblend predict` writes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.explain.explainer import Explanation
from moleblend_plugin.explain.molecules import explain_molecules
from moleblend_plugin.serving.served_model import ServedModel, load_served
from moleblend_plugin.version import __version__
from tests.serving.models import trusting_model

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

TABLE = """name,SMILES,reason,note
ethanol,OCC,,"a, b"
bad,C1CC,mine,
none,,,"two
lines"
"<b>x</b>",c1ccccc1,,=1+1
"""
CSV = {"Content-Type": "text/csv"}


def test_health_says_which_model_it_is(client: TestClient, served: ServedModel) -> None:
    found = client.get("/health").json()
    expected = {"status": "ok", "kind": "regression", "targets": ["logS"], "networks": 2, "waiting": 0}
    assert found | expected == found
    assert (found["training_molecules"], found["interval_level"]) == (40, 0.9)
    assert (found["max_rows"], found["max_bytes"], found["version"]) == (20, 20_000, __version__)
    assert served.name == found["model"]
    assert "/" not in found["model"]


def test_a_list_comes_back_in_order_with_numbers_or_reasons(client: TestClient) -> None:
    sent = ["OCC", "C1CC", "", 3, None, "C" * 301, "C" * 250 + "é", "c1ccccc1 benzene", "\ud800"]
    answer = client.post("/predict", content=json.dumps(sent), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    found = answer.json()
    rows = found["rows"]
    assert [row["smiles"] for row in rows] == [
        *("OCC", "C1CC", "", "3", "null", "C" * 301, "C" * 250 + "é", "c1ccccc1 benzene", "?"),
    ]
    assert [row["row_id"] for row in rows] == [f"molecules:{number}" for number in range(9)]
    assert found["molecules"] == ["CCO", None, None, None, None, None, None, "c1ccccc1", None]
    assert [row["reason"] for row in rows] == [
        *("", "SMILES syntax", "empty SMILES", "neither SMILES nor RDKit molecule: int"),
        *("neither SMILES nor RDKit molecule: NoneType", "SMILES longer than 300 characters: 301"),
        *("SMILES syntax: characters beyond ASCII", "", "SMILES syntax: characters beyond ASCII"),
    ]
    for row in rows:
        assert (row["predicted_logS"] is None) == bool(row["reason"])


def test_trust_stands_beside_a_prediction(client: TestClient, served: ServedModel) -> None:
    found = client.post("/predict", json=["CCCCO", "O=S(=O)(N)c1ccc2nsnc2c1"]).json()
    near, far = found["rows"]
    assert near["low_logS"] < near["predicted_logS"] < near["high_logS"]
    assert near["members_sd_logS"] > 0
    assert (near["nearest_similarity"], near["nearest_training_smiles"]) == (1.0, "CCCCO")
    assert near["nearest_training_row"] == 12
    assert (near["outside_domain"], far["outside_domain"]) == (False, True)
    roles = {column["role"]: column["name"] for column in found["columns"]}
    assert roles == {
        "row_id": "row_id",
        "input": "smiles",
        "value": "predicted_logS",
        "members_sd": "members_sd_logS",
        "low": "low_logS",
        "high": "high_logS",
        "similarity": "nearest_similarity",
        "training_row": "nearest_training_row",
        "training_smiles": "nearest_training_smiles",
        "outside_domain": "outside_domain",
        "reason": "reason",
    }
    assert {column["target"] for column in found["columns"] if column["role"] in ("low", "value")} == {"logS"}


@pytest.mark.parametrize("name", ["mols.csv", "mols.tsv", "mols.smi", "mols.sdf"])
def test_a_file_is_answered_as_predict_writes_it(
    client: TestClient, model_file: Path, tmp_path: Path, name: str
) -> None:
    from rdkit import Chem

    content = {
        "mols.csv": TABLE,
        "mols.tsv": "smiles\tid\nCCO\t1\nnonsense\t2\n",
        "mols.smi": "CCO ethanol\n\nnonsense odd one\nCCN\n",
        "mols.sdf": f"{Chem.MolToMolBlock(Chem.MolFromSmiles('CCO'))}>  <id>\n17\n\n$$$$\nrubbish\n$$$$\n",
    }[name]
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    main_done = run("predict", model_file, path, "--out", tmp_path / "out.csv", "--device", "cpu")
    assert main_done == 0
    expected = (tmp_path / "out.csv").read_bytes().decode("utf-8")
    answer = client.post(
        "/predict", params={"name": name}, content=content, headers=CSV | {"Accept": "text/csv"}
    )
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text == expected
    both = client.post("/predict", params={"name": name, "csv": True}, content=content, headers=CSV).json()
    assert both["csv"] == expected
    assert [row["reason"] == "" for row in both["rows"]] == [m is not None for m in both["molecules"]] or (
        name == "mols.csv"  # it has a column of that name
    )


def run(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_columns_of_the_input_are_kept_beside_ours(client: TestClient) -> None:
    found = client.post("/predict", content=TABLE, headers=CSV).json()
    assert [row["name"] for row in found["rows"]] == ["ethanol", "bad", "none", "<b>x</b>"]
    assert [row["note"] for row in found["rows"]] == ["a, b", "", "two\nlines", "=1+1"]
    assert [row["reason"] for row in found["rows"]] == ["", "mine", "", ""]
    assert [row["reason_"] for row in found["rows"]] == ["", "SMILES syntax", "empty SMILES", ""]
    assert found["rows"][0]["row_id"] == "body.csv:0"
    assert found["columns"][-1] == {
        "name": "reason_",
        "type": "text",
        "role": "reason",
        "target": None,
        "class_name": None,
    }
    assert found["csv"] is None


def test_classes_come_with_a_calibrated_probability_and_a_set(tmp_path: Path) -> None:
    from moleblend_plugin.serving.bodies import Body

    model = load_served(trusting_model(tmp_path / "c.model", "classification"), device="cpu", interval=0.8)
    found = model.predict(Body(b'["CCO"]', is_json=True)).to_plain(False)
    assert [column["role"] for column in found["columns"]][2:6] == [
        "value",
        "members_sd",
        "calibrated",
        "set",
    ]
    row = found["rows"][0]
    assert 0 < row["calibrated_logS"] < 1
    assert set(row["set_logS"].split("|")) <= {"0", "1"}
    assert model.beside.level == 0.8


@pytest.mark.parametrize(
    ("content", "type_", "status", "words"),
    [
        ('["C"', "application/json", 422, 'no JSON'),
        ("[" * 50_000, "application/json", 413, "20,000 bytes"),
        ("[" * 19_000, "application/json", 422, "no JSON"),
        ("{}", "application/json", 422, 'no list (dict): send a list of SMILES, as in ["CCO"]'),
        ("[]", "application/json", 422, "an empty list"),
        (json.dumps(["C"] * 21), "application/json", 413, "21 rows are more than the 20 of one request"),
        ("C\n" * 21, "text/plain", 413, "21 rows are more than the 20 of one request"),
        ("", "text/csv", 422, "the body is empty"),
        (" \n", "", 422, "the body is empty"),
        ("SMILE\nC\n", "text/csv", 422, "has no column 'smiles'; did you mean 'SMILE'?"),
        ("a,b\nx,y\n", "text/csv", 422, "name the one of SMILES by smiles_column"),
        ("smiles\n", "text/csv", 422, "a header but no rows"),
        (gzip.compress(b"C\n" * 100_000), "text/csv", 422, "body.csv is no text"),
        (b"PK\x03\x04" + b"0" * 99, "", 422, "is no text"),
        (b"0" * 16 + b"\xde\xc0\xef\xbe" + b"0" * 99, "text/csv", 422, "is no text"),
        (b"\x80\x04\x95" + bytes(range(256)), "text/csv", 422, ""),
        ("smiles=CCO", "application/x-www-form-urlencoded", 415, "--data-binary"),
        ("--x\r\n", "multipart/form-data; boundary=x", 415, "send the file itself"),
        ("C" * 20_001, "text/plain", 413, "larger than the 20,000 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(
    client: TestClient, content: str | bytes, type_: str, status: int, words: str
) -> None:
    answer = client.post(
        "/predict",
        params={"name": "" if type_ else "x.smi"},
        content=content,
        headers={"Content-Type": type_},
    )
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])
    detail = answer.json()["detail"]
    assert words in detail
    assert "\n" not in detail
    assert "/tmp" not in detail


def test_a_body_without_a_length_is_bounded_too(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"C\n" * 500

    assert client.post("/predict", content=parts()).status_code == 413


def test_a_column_of_smiles_can_be_named(client: TestClient) -> None:
    table = "a,b\nCCO,x\nCCN,y\n"
    found = client.post("/predict", params={"smiles_column": "a"}, content=table, headers=CSV).json()
    assert found["molecules"] == ["CCO", "CCN"]
    assert client.post("/predict", params={"smiles_column": "c"}, content=table).status_code == 422


@pytest.mark.parametrize("name", ["../../etc/x.csv", r"C:\d\x.csv", "/x.csv", "a" * 300 + ".csv"])
def test_a_name_is_a_name(client: TestClient, name: str) -> None:
    found = client.post("/predict", params={"name": name}, content="smiles\nCCO\n").json()
    row_id = found["rows"][0]["row_id"]
    assert row_id.endswith("x.csv:0" if "x" in name else "a.csv:0")
    assert len(row_id) < 110
    assert not set("/\\") & set(row_id)


def test_atoms_are_explained_as_moleblend_explain_does(client: TestClient, served: ServedModel) -> None:
    found = client.get("/explanation", params={"smiles": "OCc1ccccc1"}).json()
    (same,) = explain_molecules(served.predictor, ["OCc1ccccc1"], ("integrated-gradients",))
    assert isinstance(same, Explanation)
    assert found["contributions"] == pytest.approx(
        same.attributions["integrated-gradients"].contributions[:, 0]
    )
    assert sum(found["contributions"]) == pytest.approx(found["explained"] - found["baseline"], rel=1e-2)
    (row,) = client.post("/predict", json=["OCc1ccccc1"]).json()["rows"]
    assert found["predicted"] == pytest.approx(row["predicted_logS"])
    assert (found["target"], found["smiles"], len(found["notes"])) == ("logS", same.record.smiles, 1)


def test_atoms_are_drawn_in_colour(client: TestClient) -> None:
    told = {"smiles": "OCc1ccccc1", "target": "logS"}
    light, dark = (client.get("/explanation.svg", params=told | {"dark": dark}) for dark in (False, True))
    for answer in (light, dark):
        assert answer.headers["content-type"] == "image/svg+xml"
        drawn = ElementTree.fromstring(answer.text)
        circles = drawn.findall("{http://www.w3.org/2000/svg}circle")
        assert len(circles) == 8
        assert {circle.get("class") for circle in circles} & {"more", "less"}
    assert light.text != dark.text


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({"smiles": "C1CC"}, 422, "no molecule: SMILES syntax"),
        ({"smiles": "CCO", "target": "pKa"}, 422, "no target 'pKa'"),
        ({"smiles": "C" * 2001}, 413, "2,001 letters"),
        ({}, 422, "query.smiles: Field required"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    client: TestClient, told: dict[str, str], status: int, words: str
) -> None:
    for path in ("/explanation", "/explanation.svg"):
        answer = client.get(path, params=told)
        assert answer.status_code == status
        assert words in answer.json()["detail"]


def test_drawings_are_svg_for_light_and_dark_pages(client: TestClient) -> None:
    light, dark = (client.get("/drawing", params={"smiles": "CCO", "dark": dark}) for dark in (False, True))
    assert light.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in light.headers["content-security-policy"]
    assert "<svg" in light.text
    assert light.text != dark.text
    assert "#FFFFFF" not in light.text.split("<path")[0]  # no background
    assert client.get("/drawing", params={"smiles": "C1CC"}).status_code == 422
    assert client.get("/drawing", params={"smiles": "C" * 2001}).status_code == 413
    assert client.get("/drawing").json() == {"detail": "query.smiles: Field required"}


def test_pages_need_nothing_from_elsewhere(client: TestClient) -> None:
    from moleblend_plugin.serving.app import PAGES

    folder = files("moleblend_plugin.serving") / "pages"
    assert {file for file, _ in PAGES.values()} == {item.name for item in folder.iterdir()}
    for path, (_, media_type) in PAGES.items():
        answer = client.get(path)
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert re.findall(r"https?://|url\(|@import|src=\"//", answer.text) == []
        assert (
            re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(| on\w+=", answer.text)
            == []
        )
        for named in re.findall(r'(?:src|href)="([\w./]+)"', answer.text):
            assert client.get(f"/{named.removeprefix('./')}").status_code == 200
    assert client.get("/redoc").status_code == 404


def test_the_description_names_what_there_is(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    assert set(api["paths"]) == {"/health", "/predict", "/drawing", "/explanation", "/explanation.svg"}
    predict = api["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"application/json", "text/csv"}
    assert {"200", "403", "413", "415", "422", "503"} <= set(predict["responses"])
    content = predict["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv"}
    named = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(api["components"]["schemas"][named]["properties"]) == {
        "columns",
        "rows",
        "molecules",
        "notes",
        "csv",
    }
    for type_, body in predict["requestBody"]["content"].items():
        example = body["example"]
        sent = json.dumps(example) if type_ == "application/json" else example
        assert client.post("/predict", content=sent, headers={"Content-Type": type_}).status_code == 200
