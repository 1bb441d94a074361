from pathlib import Path

from moleblend_plugin.runs.event_log import read_events, validations


def test_whole_events_of_a_log_that_is_cut_off_or_not_there(tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    assert list(read_events(log)) == []
    log.write_text(
        '{"event": "train", "loss": 1}\n{"event": "valid", "loss": 2}\n{"event": "va', encoding="utf-8"
    )
    assert [event["loss"] for event in read_events(log)] == [1, 2]
    assert [event["loss"] for event in validations(log)] == [2]
