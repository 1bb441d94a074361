"""Log lines have Uni-Core's shape; the log file is plain JSON with numbers."""

from __future__ import annotations

import json

import pytest

from moleblend_plugin.trainer.logging import log_lines as lines
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.logging.live_line import LiveLine, molecules_per_second, terms_text

STATS = {"loss": 7.102, "lr": 9.89899e-05, "num_updates": 20, "x_norm": None}


def test_line_of_an_interval() -> None:
    assert lines.interval_line(1, 20, 24, STATS) == (
        "epoch 001:     20 / 24 loss=7.102, lr=9.89899e-05, num_updates=20, x_norm=None"
    )


def test_line_of_a_validation_and_of_an_epoch() -> None:
    stats = {"loss": 7.109, "num_updates": 20, "best_loss": 7.109}
    assert lines.summary_line(1, stats, "valid on 'valid' subset") == (
        "epoch 001 | valid on 'valid' subset | loss 7.109 | num_updates 20 | best_loss 7.109"
    )
    assert lines.summary_line(12, {"loss": 0.5}) == "epoch 012 | loss 0.5"


def test_json_lines_hold_strings_as_uni_cores_do() -> None:
    interval = json.loads(lines.interval_json(1, 5, 10, {"loss": 3.8038, "num_updates": 5}))
    assert interval == {"epoch": 1, "update": 0.5, "loss": "3.8038", "num_updates": "5"}
    valid = json.loads(lines.summary_json(1, "valid", {"loss": 8.1135, "num_updates": 10}))
    assert valid == {"epoch": 1, "valid_loss": "8.1135", "valid_num_updates": "10"}


def test_events_hold_exact_numbers() -> None:
    event = json.loads(lines.event_json("valid", 2, {"loss": 1 / 3, "num_updates": 7}, "test"))
    assert event == {"event": "valid", "epoch": 2, "subset": "test", "loss": 1 / 3, "num_updates": 7}
    assert type(event["num_updates"]) is int


def test_values_that_are_not_finite_become_null() -> None:
    text = lines.event_json("train", 1, {"loss": float("nan"), "gnorm": float("inf")})
    assert json.loads(text) == {"event": "train", "epoch": 1, "loss": None, "gnorm": None}
    assert "NaN" not in text


def test_live_line_shows_the_terms_and_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    with metrics.aggregate() as meters:
        for _ in range(3):
            metrics.log_scalar("bsz", 8)
            metrics.log_scalar("loss", 3.25)
            metrics.log_scalar("spd_loss", 1.125)
            metrics.log_scalar("gnorm", 9.0)
            metrics.log_speed("ups")
            clock[0] += 0.5
    assert terms_text(meters) == "loss 3.25  spd_loss 1.125"
    assert molecules_per_second(meters) == 8 * 2 / 1.5


def test_live_line_is_drawn_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "60")
    with metrics.aggregate() as meters:
        metrics.log_scalar("loss", 3.25)
        line = LiveLine(total=40)
        line.show(10, meters)
        line.stop()
    out, err = capsys.readouterr()
    assert out == ""
    assert "10/40" in err
    assert "loss 3.25" in err
