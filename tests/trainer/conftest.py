"""Training commands on a toy plugin, in this process."""

import json
from dataclasses import dataclass
from pathlib import Path

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

    def events(self, kind):
        lines = (self.folder / "train.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def state(self, name="checkpoint_last.pt"):
        return read_checkpoint(self.folder / name)

    def names(self):
        return sorted(path.name for path in self.folder.glob("*.pt"))


@pytest.fixture(autouse=True)
def _no_host_requested(monkeypatch):
    monkeypatch.delenv("MOLEBLEND_HOST", raising=False)
    yield
    detect.take_charge(None)


@pytest.fixture
def train(tmp_path, capsys):
    """``train("--max-update", 5, data=40, into="a")`` runs the toy task; defaults can be given again."""

    def run(*arguments, data=40, into="run", choices=CHOICES):
        argv = [str(data), *choices, "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1]
        argv += ["--save-dir", tmp_path / into, *arguments]
        capsys.readouterr()
        code = command.main([str(word) for word in argv])
        out, err = capsys.readouterr()
        return Run(code, tmp_path / into, out, err)

    return run
