"""Training commands on a toy plugin, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.runs import detect
from moleblend_plugin.trainer import main as command
from moleblend_plugin.trainer.checkpoints.file import read_checkpoint

TOY = Path(__file__).parent / "toy_plugin"
CHOICES = ["--user-dir", str(TOY), "--task", "toy", "--arch", "toy_small", "--loss", "toy_mse"]


@dataclass
class Run:
    """A finished training command."""

    code: int
    folder: Path
    out: str
    err: str

    def events(self, kind: Any) -> Any:
        lines = (self.folder / "train.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def state(self, name: str = "checkpoint_last.pt") -> Any:
        return read_checkpoint(self.folder / name)

    def names(self) -> Any:
        return sorted(path.name for path in self.folder.glob("*.pt"))


@pytest.fixture(autouse=True)
def _no_host_requested(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MOLEBLEND_HOST", raising=False)
    yield
    detect.take_charge(None)


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``train("--max-update", 5, data=40, into="a")`` runs the toy task; defaults can be given again."""

    def run(*arguments: object, data: int = 40, into: str = "run", choices: Any = CHOICES) -> Any:
        argv = [str(data), *choices, "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1]
        argv += ["--save-dir", tmp_path / into, *arguments]
        capsys.readouterr()
        code = command.main([str(word) for word in argv])
        out, err = capsys.readouterr()
        return Run(code, tmp_path / into, out, err)

    return run
