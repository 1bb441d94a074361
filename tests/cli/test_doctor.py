"""`moleblend doctor`: what a machine has, and whether a tiny run works there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moleblend_plugin.cli import doctor
from moleblend_plugin.cli.main import main
from moleblend_plugin.networks.registry import bundled_networks

NAMES = ["versions", "extras", "trainers", "cores", "devices", "networks", "folder", "tiny run"]


def test_every_check_of_a_sound_installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--folder", str(tmp_path), "--device", "cpu", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert list(checks) == NAMES
    assert {check["state"] for check in checks.values()} <= {"ok", "note"}
    assert not ended.value.code
    assert "8 molecules trained and one predicted" in checks["tiny run"]["told"]
    assert all(name in checks["networks"]["told"] for name in bundled_networks())
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_named_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_tiny_run", lambda device: ("ok", device))
    with pytest.raises(SystemExit, match="1"):
        main(["doctor", "--folder", str(tmp_path), "--device", "cuda:9"])
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert len(lines) == len(NAMES)
    assert len(wrong) == 1
    assert "cuda:9" in wrong[0]


def test_more_threads_than_cores_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    state, told = doctor._cores()
    assert state == "note"
    assert "set OMP_NUM_THREADS=" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(doctor.MoleblendError, match="may be written"):
        doctor._folder(tmp_path)


def test_a_shell_completes_commands() -> None:
    asked = {"_MOLEBLEND_COMPLETE": "complete_bash", "COMP_WORDS": "moleblend doc", "COMP_CWORD": "1"}
    command = "import sys; sys.argv = ['moleblend']; from moleblend_plugin.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=os.environ | asked,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout.split() == ["doctor"]
