"""What users named is text everywhere: in tables, errors, pages, pictures and Markdown, never markup."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import typer

from moleblend_plugin.bench.report import html_report
from moleblend_plugin.bench.report.dot_plot import dot_plot
from moleblend_plugin.bench.report.summary import CellGroup, Plan
from moleblend_plugin.bench.report.table import Best, escaped, markdown, tables
from moleblend_plugin.cli import main as command
from moleblend_plugin.cli._console import plain_console
from tests.checkpoints import property_checkpoint

PACKAGE = Path(command.__file__).parents[1]
NAMES = ["logS [mol/L]", "b [/m]", ":+1: [bold]x", r"c \[i] $a_{$", "_<i>&amp;*z*"]
PLACE = "run [/m] [bold] $x$ :+1:"  # two folders, one in the other


def run(*arguments: Path | int | str) -> int:
    try:
        command.main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("names") / PLACE
    folder.mkdir(parents=True)
    smiles = ("CCO", "CCN", "CCC", "CCCC", "CCCO", "CCCN", "c1ccccc1", "CCCl")
    rows = [",".join([text, *(str(number + 0.5) for _ in NAMES)]) for number, text in enumerate(smiles)]
    table = folder / "t [b].csv"
    table.write_text("\n".join([",".join(["smiles", *NAMES]), *rows]) + "\n")
    words = ("--target-columns", ",".join(NAMES), "--conformers", "none", "--workers", 1)
    assert (
        run(
            "build",
            table,
            "--out",
            folder / "out [b]",
            *words,
            "--split",
            "random",
            "--split-sizes",
            "0.5,0.25,0.25",
        )
        == 0
    )
    return table, folder / "out [b]"


def test_tables_of_a_build_and_its_parts_show_names_whole(
    built: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = built
    words = ("--target-columns", ",".join(NAMES), "--conformers", "none", "--workers", 1, "--overwrite")
    assert run("build", table, "--out", out.with_name("again [c]"), *words) == 0
    assert str(out.with_name("again [c]") / "train.lmdb") in capsys.readouterr().out
    assert run("splits", out, "--out", out / "report [b].json") == 0
    told = capsys.readouterr().out
    assert [name for name in NAMES if name not in told] == []
    assert str(out / "report [b].json") in told
    assert run("inspect", out / "train.lmdb") == 0
    assert str(out / "train.lmdb") in capsys.readouterr().out


def test_predictions_embeddings_drawings_and_exports(
    built: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = built
    model = property_checkpoint(tmp_path / "m [b].pt", tuple(NAMES), "regression", "2d")
    predicted = tmp_path / "p [b].csv"
    assert run("predict", model, table, "--out", predicted, "--workers", 1, "--device", "cpu") == 0
    assert all(f"predicted_{name}" in predicted.read_text().splitlines()[0] for name in NAMES)
    assert run("embed", model, table, "--out", tmp_path / "e [b].npz", "--workers", 1, "--device", "cpu") == 0
    assert run("images", out, "--workers", 1, "--image-size", 32) == 0
    assert run("export", out, "--out", tmp_path / "x [b]") == 0
    told = capsys.readouterr().out
    for path in (
        predicted,
        tmp_path / "e [b].npz",
        out / "train.images",
        tmp_path / "x [b]" / "train.lmdb",
    ):
        assert str(path) in told


def test_curves_of_a_run_with_such_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / PLACE
    folder.mkdir(parents=True)
    event = {"event": "train_inner", "epoch": 1, "num_updates": 5, "loss": 1.0, "a [/m]_loss": 2.0}
    valid = {"event": "valid", "subset": "_v [/m] $x_{$", "epoch": 1, "num_updates": 5, "loss": 1.0}
    (folder / "train.jsonl").write_text(f"{json.dumps(event)}\n{json.dumps(valid)}\n")
    assert run("curves", folder, "--out", tmp_path / "c [b]") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "a [/m]_loss" in told
    assert "_v [/m] $x_{$" in told
    assert str(tmp_path / "c [b]" / "curves.png") in told
    assert "_v [/m] $x_{$" in (tmp_path / "c [b]" / "curves.html").read_text(encoding="utf-8")


COMMANDS = {
    "fit": ["{}", "--out", "x"],
    "tune": ["{}", "--out", "x"],
    "build": ["{}", "--out", "out"],
    "join": ["{}", "--out", "out"],
    "inspect": ["{}"],
    "images": ["{}"],
    "predict": ["{}", "a.csv", "--out", "p.csv"],
    "embed": ["{}", "a.csv", "--out", "p.npz"],
    "splits": ["{}"],
    "export": ["{}", "--out", "x"],
    "curves": ["{}"],
    "rerun": ["{}"],
    "score": ["{}"],
    "serve": ["{}"],
    "explain": ["{}", "a.csv", "--out", "p.html"],
    "recipe": ["{}"],
    "anchors": ["{}", "s.lmdb", "--out", "x"],
    "bench": ["{}", "--out", "x"],
    "import-official": ["{}", "--out", "x.pt"],
    "models": ["{}"],
    "doctor": ["--folder", "{}"],
}


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == set(typer.main.get_command(command.app).commands)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("bad", ["no [/m] such $x$ :+1:", "--no-[/m]-option"])
def test_an_error_names_the_thing_as_it_was_typed(
    name: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(name, *(bad if word == "{}" else word for word in COMMANDS[name])) == 2
    assert bad in capsys.readouterr().err


def test_an_error_is_one_line_whatever_a_name_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("splits", "a\nb\x1b[31m") == 2
    assert capsys.readouterr().err.startswith("error: a\\nb\\x1b[31m holds no train.lmdb")


def test_a_console_shows_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console().print(*NAMES, sep="\n")
    assert capsys.readouterr().out.splitlines() == NAMES


def test_consoles_are_made_in_one_place() -> None:
    """rich's own default reads markup: a new table or bar takes ``plain_console``."""
    made = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Console"
            ):
                words = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
                made += [] if (words.get("markup"), words.get("emoji")) == (False, False) else [path.name]
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "rich"
                and {"print"} & {n.name for n in node.names}
            ):
                made.append(path.name)
    assert made == ["_console.py"]


def comparison() -> tuple[Plan, dict[tuple[str, str], CellGroup]]:
    sets, models = (
        {"s [/m] $a_{$": "rmse"},
        {"better": "ours", "**x** <b>|[a](b)": "ecfp4-rf", "_y $z_{$": "ours"},
    )
    plan = Plan(sets, dict.fromkeys(sets, "random"), models, (0, 1))
    groups = {}
    for number, (model, kind) in enumerate(models.items()):
        one = {"scores": {"rmse": 1.0 + number}, "left_out": {"rmse": []}}
        result = {"kind": kind, "valid": one, "test": one, "n": {"test": 3}, "tasks": 1, "test_selected": 1.0}
        result |= {"seconds": {"total": 1.0}, "cpu_seconds": 1.0}
        groups["s [/m] $a_{$", model] = CellGroup("s [/m] $a_{$", model, {0: result}, {}, Path("none"))
    return plan, groups


def test_a_comparisons_page_and_table_show_names_as_they_are() -> None:
    plan, groups = comparison()
    found = tables(plan, groups, [], {})
    html = "".join(html_report._table(table) for table in found)
    assert "<b>1.000</b>, 1.0 s [1 of 2 seeds]" in html
    assert '<th scope="col">**x** &lt;b&gt;|[a](b)</th>' in html
    assert 'class="better"' not in html
    text = markdown(plan, found)
    assert r"\*\*x\*\* \<b>\|[a]\(b)" in text
    assert "| **1.000**, 1.0 s [1 of 2 seeds] |" in text
    assert r"s [/m] \$a\_{\$" in text


def test_names_in_pictures_are_no_formulas(tmp_path: Path) -> None:
    plan, groups = comparison()
    arrays = {
        "names": ["t"],
        "test_targets": [[0.0], [1.0], [3.0]],
        "test_predictions": [[1.0], [1.0], [2.0]],
    }
    np.savez(tmp_path / "0.npz", **{name: np.array(array) for name, array in arrays.items()})
    groups = {key: group._replace(folder=tmp_path) for key, group in groups.items()}
    assert dot_plot(plan, groups).light.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pretrained_tiny", "pretrained_tiny"),
        ("_a_ *b*", r"\_a\_ \*b\*"),
        ("a\nb|c", r"a b\|c"),
        ("< 0.001", "< 0.001"),
        ("<script>", r"\<script>"),
        ("[mol/L]", "[mol/L]"),
        ("[a](b)", r"[a]\(b)"),
    ],
)
def test_markdown(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_the_best_score_knows_what_is_bold() -> None:
    assert (Best("1.0", " [1]"), Best("1.0", " [1]").score) == ("1.0 [1]", "1.0")
