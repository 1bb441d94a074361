"""The ways in which ``unicore-train`` comes to know this plugin: one result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainers import EMBEDDED, PRETRAIN, ROOT, UNICORE, logged, needs_unicore, train

pytestmark = needs_unicore

RUN = "from unicore_cli.train import cli_main; cli_main()"
BARE = [sys.executable, "-c", RUN]
OWN_PROGRAM = [sys.executable, "-c", f"import unicore, moleblend_plugin; {RUN}"]


@pytest.fixture(scope="module")
def expected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    log = train(EMBEDDED, data, tmp_path_factory.mktemp("expected"), "--max-update", 2)
    return [line["loss"] for line in logged(log, "train_inner")]


def losses(log: str) -> list[float]:
    return [line["loss"] for line in logged(log, "train_inner")]


WAYS = {
    "by path, Uni-Core's own command": (BARE, ("--user-dir", ROOT / "moleblend_plugin")),
    "by name, our command": (UNICORE, ("--user-dir", "moleblend_plugin")),
    "not at all, our command": (UNICORE, ()),
    "imported by a program of one's own": (OWN_PROGRAM, ()),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_trains(
    data: Path, tmp_path: Path, expected: list[float], way: tuple[list[str], tuple[object, ...]]
) -> None:
    command, user_dir = way
    log = train(command, data, tmp_path, "--max-update", 2, user_dir=user_dir)
    assert losses(log) == pytest.approx(expected, rel=1e-4)


def test_the_installed_package_is_named_by_its_folder(
    data: Path, tmp_path: Path, expected: list[float]
) -> None:
    """From a folder that is no checkout, as documented: the folder of what ``import`` finds."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "moleblend_plugin").symlink_to(ROOT / "moleblend_plugin")
    find = "import importlib.util as u; print(u.find_spec('moleblend_plugin').submodule_search_locations[0])"
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    ask = [sys.executable, "-c", find]
    where = subprocess.run(ask, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    assert where.stdout.strip() == str(site / "moleblend_plugin")
    folders = ["--save-dir", tmp_path / "run", "--tmp-save-dir", tmp_path / "tmp"]
    argv = [*BARE, data, "--user-dir", where.stdout.strip(), *PRETRAIN, *folders, "--max-update", 2]
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(done.stdout) == pytest.approx(expected, rel=1e-4)
