"""The descriptor term on both hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from moleblend_plugin import build
from tests.tasks.test_descriptor_runs import SMILES
from tests.trainers import EMBEDDED, NO_DROPOUT, UNICORE, last_state, logged, needs_unicore, train

pytestmark = needs_unicore


def test_both_hosts_learn_the_same(tmp_path: Path) -> None:
    (tmp_path / "some.smi").write_text("\n".join(SMILES) + "\n")
    data, sizes = tmp_path / "data", (0.75, 0.25, 0.0)
    build(tmp_path / "some.smi", data, conformers=None, split="random", split_sizes=sizes, descriptors=True)
    flags = ("--max-update", 10, *NO_DROPOUT, "--whole-share", 0.5)
    ours = logged(train(EMBEDDED, data, tmp_path / "ours", *flags, "--use-old-adam"), "train_inner")
    theirs = logged(train(UNICORE, data, tmp_path / "theirs", *flags), "train_inner")
    for left, right in zip(ours, theirs, strict=True):
        assert left["descriptor_loss"] == pytest.approx(right["descriptor_loss"], rel=1e-3, abs=1e-3)
    states = [last_state(tmp_path / name) for name in ("ours", "theirs")]
    assert states[0]["args"].descriptors == states[1]["args"].descriptors
