"""The README's command under Uni-Core's own trainer, in subprocesses, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.trainers import EMBEDDED, NO_DROPOUT, UNICORE, last_state, logged, needs_unicore, train

pytestmark = needs_unicore

TERMS = ("loss", "spd_loss", "edge_loss", "distance_loss", "denoise_loss", "distance_mae", "bsz")


def assert_same(ours: list[dict[str, float]], theirs: list[dict[str, float]], updates: int) -> None:
    assert len(ours) == len(theirs) == updates
    for left, right in zip(ours, theirs, strict=True):
        assert left.get("lr") == right.get("lr")
        shared = [term for term in TERMS if term in right]
        values, expected = ([line[term] for term in shared] for line in (left, right))
        # Both logs round to four decimals, so equal values may differ by one unit of the last.
        assert values == pytest.approx(expected, rel=1e-4, abs=1.01e-4)


def test_both_hosts_train_the_same_100_updates(data: Path, tmp_path: Path) -> None:
    """To the last bit, with the same arithmetic of Adam: torch's fused one rounds otherwise."""
    settings = ["--max-update", 100, "--lr-scheduler", "polynomial_decay", "--warmup-updates", 10,
                "--total-num-update", 100, *NO_DROPOUT]  # fmt: skip
    theirs = train(UNICORE, data, tmp_path / "u", *settings)
    ours = train(EMBEDDED, data, tmp_path / "e", *settings, "--use-old-adam")
    assert theirs.startswith("unicore-train: running Uni-Core's own trainer")
    assert_same(logged(ours, "train_inner"), logged(theirs, "train_inner"), 100)
    assert_same(logged(ours, "valid"), logged(theirs, "valid"), len(logged(theirs, "valid")))
    weights, expected = (last_state(tmp_path / host)["model"] for host in "eu")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("first", "second"), [(UNICORE, EMBEDDED), (EMBEDDED, UNICORE)], ids=["to-ours", "to-theirs"]
)
def test_a_checkpoint_goes_on_under_the_other_host(
    data: Path, tmp_path: Path, first: list[str], second: list[str]
) -> None:
    """Dropout on, and the break in the middle of an epoch."""
    straight = train(second, data, tmp_path / "straight", "--max-update", 24)
    train(first, data, tmp_path / "halves", "--max-update", 12)
    halves = train(second, data, tmp_path / "halves", "--max-update", 24)
    assert_same(logged(halves, "train_inner"), logged(straight, "train_inner")[12:], 12)
