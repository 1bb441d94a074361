"""README's promises under Uni-Core's own command: any folder, which trainer runs, mistakes in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainers import PRETRAIN, ROOT, needs_unicore

pytestmark = needs_unicore

COMMAND = [sys.executable, "-c", "from unicore_cli.train import cli_main; cli_main()"]  # its console script


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with Uni-Core and this plugin side by side, as pip puts them."""
    import unicore
    import unicore_cli

    folder = tmp_path / "site-packages"
    folder.mkdir()
    for name, module in (("unicore", unicore), ("unicore_cli", unicore_cli)):
        shutil.copytree(next(iter(module.__path__)), folder / name)  # it looks beside its own files
    (folder / "moleblend_plugin").symlink_to(ROOT / "moleblend_plugin")
    return folder


def run(site: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    folder.mkdir()
    argv = [*COMMAND, *map(str, words), "--user-dir", "moleblend_plugin", *PRETRAIN]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=folder, timeout=300)


def test_from_any_folder_it_says_which_trainer_runs(site: Path, data: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path / "elsewhere", data, "--max-update", 1, "--save-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if "is not installed corrected" not in line]
    assert lines[0] == "moleblend_plugin: running Uni-Core's own trainer"
    assert (tmp_path / "run" / "checkpoint_last.pt").is_file()


def test_without_an_end_it_is_refused_in_one_line(site: Path, data: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path / "elsewhere", data)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "error: the run has no end: give --max-epoch or --max-update"
    )
