"""``moleblend curves``: both log formats, the figure, the page, the table, and bad input."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.cli.curves import change, curves, span
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.report.run_log import CURVES, best_point, logged_curves, read_run_log
from moleblend_plugin.schema import Curve

LOSSES = {"loss": 9.0, "spd_loss": 2.0, "edge_loss": 3.0, "distance_loss": 4.0, "denoise_loss": 1.0}
SCORES = {"spd_accuracy": 0.1, "edge_accuracy": 0.2, "distance_mae": 3.0, "denoise_cosine": 0.0}

UNICORE_LOG = """\
fused_multi_tensor is not installed corrected
2026-01-01 10:00:00 | INFO | unicore_cli.train | task: MoleblendPretrain
2026-01-01 10:00:01 | INFO | train_inner | {"epoch": 1, "update": 0.5, "loss": "3.8038", "spd_loss": "1.5", \
"x_norm": "None", "num_updates": "5", "lr": "0.0001", "train_wall": "1"}
2026-01-01 10:00:02 | INFO | train_inner | {"epoch": 1, "update": 1, "loss": "2.5", "spd_loss": "1.0", \
"num_updates": "10", "lr": "0.0001", "train_wall": "2"}
2026-01-01 10:00:03 | INFO | valid | {"epoch": 1, "valid_loss": "2.25", "valid_spd_loss": "0.75", \
"valid_num_updates": "10"}
2026-01-01 10:00:03 | INFO | train | {"epoch": 1, "train_loss": "3.0", "train_num_updates": "10"}
2026-01-01 10:00:03 | INFO | unicore_cli.train | {"epoch": 1, "num_upd
"""


def event(name: str, updates: int, **values: float | str) -> str:
    return json.dumps({"event": name, "epoch": 1, "num_updates": updates, **values})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three logged intervals and two validations in which every loss halves and every score rises."""
    lines = []
    for updates, factor in ((10, 1.0), (20, 0.75), (30, 0.5)):
        values = {key: value * factor for key, value in LOSSES.items()}
        values |= {key: value + 1 - factor for key, value in SCORES.items()}
        lines.append(event("train_inner", updates, **values, lr=1e-3, bsz=32))
        if updates > 10:
            lines.append(event("valid", updates, subset="valid", **values))
    lines.append(event("train", 30, loss=6.75))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_run_folder_is_read_as_points_per_term(run: Path) -> None:
    log = read_run_log(run)
    assert log.train["loss"] == [(10, 9.0), (20, 6.75), (30, 4.5)]
    assert log.valid["spd_accuracy"] == [(20, pytest.approx(0.35)), (30, pytest.approx(0.6))]
    assert (log.subset, log.updates, log.path) == ("valid", 30, run / "train.jsonl")


def test_the_log_file_itself_may_be_named(run: Path) -> None:
    assert read_run_log(run / "train.jsonl") == read_run_log(run)


def test_a_captured_unicore_log_is_read_from_between_its_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "captured.log"
    path.write_text(UNICORE_LOG, encoding="utf-8")
    log = read_run_log(path)
    assert log.train["loss"] == [(5, 3.8038), (10, 2.5)]
    assert log.train["train_wall"] == [(5, 1.0), (10, 2.0)]  # a key of its own, not "wall" of the tag "train"
    assert "x_norm" not in log.train
    assert log.valid == {"loss": [(10, 2.25)], "spd_loss": [(10, 0.75)]}


def test_without_interval_lines_the_epoch_lines_are_the_training_curve(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(event("train", n, loss=n / 10) for n in (40, 80)), encoding="utf-8")
    assert read_run_log(path).train == {"loss": [(40, 4.0), (80, 8.0)]}


def test_after_a_restart_the_later_value_of_an_update_counts(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [event("train_inner", n, loss=value) for n, value in ((10, 5.0), (20, 4.0), (20, 3.0), (30, 2.0))]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_run_log(path).train["loss"] == [(10, 5.0), (20, 3.0), (30, 2.0)]


def test_a_torn_last_line_and_non_finite_values_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [event("train_inner", 10, loss=5.0), event("train_inner", 20, loss=float("nan"), gnorm=1.0)]
    path.write_text("\n".join([*lines, '{"event": "train_inner", "num_upd']), encoding="utf-8")
    log = read_run_log(path)
    assert log.train["loss"] == [(10, 5.0)]
    assert log.train["gnorm"] == [(20, 1.0)]


def test_terms_come_in_a_fixed_order_and_unknown_losses_follow(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(
        event("train_inner", 1, other_loss=1, best_loss=2, spd_accuracy=0.5, loss=2), encoding="utf-8"
    )
    terms = logged_curves(read_run_log(path))
    assert [term.key for term in terms] == ["loss", "spd_accuracy", "other_loss"]


def test_better_is_lower_for_losses_and_errors_and_higher_for_scores() -> None:
    points = [(1, 0.5), (2, 0.9), (3, 0.7)]
    best = {curve.key: best_point(curve, points) for curve in CURVES}
    assert {key for key, point in best.items() if point == (2, 0.9)} == {
        "spd_accuracy",
        "edge_accuracy",
        "direction_cosine",
        "denoise_cosine",
        "ecfp_recall",
        *("retrieval_refined", "retrieval_read"),
        *("retrieval_2d_image", "retrieval_2d_3d", "retrieval_image_3d"),
        *("roc_auc", "pr_auc", "r2", "spearman"),
        *("roc_auc_ovr", "balanced_accuracy", "accuracy"),
    }
    assert best["distance_mae"] == best["loss"] == (1, 0.5)


@pytest.mark.parametrize(
    ("rises", "points", "expected"),
    [
        (False, [(1, 4.0), (9, 3.0)], "-25%"),
        (True, [(1, -0.1), (9, 0.4)], "+0.50"),
        (False, [(1, 0.0), (9, 1.0)], "-"),
        (False, [], "-"),
    ],
)
def test_change(rises: bool, points: list[tuple[int, float]], expected: str) -> None:
    assert change(Curve("key", "title", "unit", rises=rises), points) == expected


def test_span() -> None:
    assert span([(1, 4.0), (5, 2.0), (9, 3.14159)]) == "4.000 → 3.142"
    assert span([]) == "-"


class PageParser(HTMLParser):
    """Collects what a page loads and the text of its table cells."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.loads += [value for key, value in attrs if key in ("src", "srcset", "href")]
        self._in_cell = tag in ("td", "th")
        if self._in_cell:
            self.cells.append("")

    def handle_data(self, data: Any) -> None:
        if self._in_cell:
            self.cells[-1] += data


def test_picture_page_and_table_are_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    curves(run, out)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    page = PageParser()
    page.feed((out / "curves.html").read_text(encoding="utf-8"))
    assert len(page.loads) == 2  # one figure for light and one for dark screens
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    first_last_best = page.cells[page.cells.index("total loss ") :][:5]
    assert first_last_best[1:] == ["9.0000", "4.5000", "4.5000", "update 30"]
    printed = capsys.readouterr().out
    assert re.search(r"edge_loss +3\.000 → 1\.500 +-50%", printed)
    assert re.search(r"spd_accuracy +0\.100 → 0\.600 +\+0\.50", printed)
    assert str(out / "curves.html") in printed
    assert sorted(path.name for path in out.iterdir()) == ["curves.html", "curves.png"]


def test_a_page_names_its_log_without_running_it(run: Path, tmp_path: Path) -> None:
    folder = run.rename(tmp_path / "<script>alert(1)<")
    curves(folder, tmp_path / "out")
    assert "<script" not in (tmp_path / "out" / "curves.html").read_text(encoding="utf-8")


def test_a_run_that_never_validated_still_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").write_text(event("train_inner", 5, loss=1.0), encoding="utf-8")
    curves(tmp_path, tmp_path)
    assert re.search(r"loss +1\.000 → 1\.000 +\+0% +- +- +-", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no logged update"),
        ("hello\n{}\n[1]\n" + json.dumps({"event": "valid", "loss": 1}), "holds no logged update"),
        (event("train_inner", 3, lr=1.0), "logs no loss"),
    ],
)
def test_a_log_without_losses_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "train.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(MoleblendError, match=message):
        curves(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"train\.jsonl does not exist; give a run's folder"):
        read_run_log(tmp_path)


def test_an_output_folder_that_cannot_be_made_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MoleblendError, match="cannot be made .*--out"):
        curves(run, tmp_path / "file" / "out")
