"""``unicore-train`` everywhere: which trainer it picks, and that it says so first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moleblend_plugin.runs import launch
from tests.trainer.conftest import CHOICES

SHIM = Path(__file__).parents[2] / "tools" / "unicore_train_shim.py"

FAKE_TRAINER = """
import sys
def cli_main():
    print("fake trainer", sys.argv[1:], "moleblend_plugin" in sys.modules)
    if "MISTAKE" in sys.argv:
        from moleblend_plugin.errors import MoleblendError
        raise MoleblendError("MISTAKE: no such folder")
    if "BUG" in sys.argv:
        raise ValueError("a bug")
"""


def shim(*arguments: Path | int | str, cwd: Path, path: list[Path] = ()) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    command = [sys.executable, str(SHIM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture
def fake_unicore(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH in which Uni-Core seems to be installed."""
    folder = tmp_path / "site"
    for package in ("unicore", "unicore_cli"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    (folder / "unicore_cli" / "train.py").write_text(FAKE_TRAINER)
    return folder


def test_uni_core_runs_its_own_trainer_and_imports_the_plugin_itself(
    fake_unicore: Path, tmp_path: Path
) -> None:
    done = shim("DATA", "--user-dir", "moleblend_plugin", cwd=tmp_path, path=[fake_unicore])
    first, second = done.stdout.splitlines()
    assert first == "unicore-train: running Uni-Core's own trainer"
    folder = str(SHIM.parents[1] / "moleblend_plugin")
    assert second == f"fake trainer {['DATA', '--user-dir', folder]} False"


def test_the_plugins_errors_are_one_line_under_uni_core_too(fake_unicore: Path, tmp_path: Path) -> None:
    mistake = shim("MISTAKE", cwd=tmp_path, path=[fake_unicore])
    assert mistake.returncode == 2
    assert mistake.stderr == "error: MISTAKE: no such folder\n"
    bug = shim("BUG", cwd=tmp_path, path=[fake_unicore])
    assert bug.returncode == 1
    assert "Traceback" in bug.stderr


@pytest.mark.skipif(launch.has_unicore(), reason="Uni-Core is installed here")
def test_without_uni_core_the_embedded_host_runs(tmp_path: Path) -> None:
    arguments = [40, *CHOICES, "--batch-size", 4, "--max-update", 2, "--save-dir", tmp_path / "run", "--cpu"]
    done = shim(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "unicore-train: Uni-Core is not installed; running moleblend_plugin's embedded"
    )
    assert (tmp_path / "run" / "checkpoint_last.pt").is_file()


@pytest.mark.skipif(launch.has_unicore(), reason="Uni-Core is installed here")
def test_mistakes_keep_their_exit_code(tmp_path: Path) -> None:
    done = shim(40, "--task", "nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --task 'nothing' is unknown")


def test_a_folder_in_the_working_directory_stays_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = str(launch.OWN_FOLDER)
    assert launch.with_user_dir(["--user-dir=moleblend_plugin", "x"]) == [f"--user-dir={own}", "x"]
    assert launch.with_user_dir(["--user-dir", "other"]) == ["--user-dir", "other"]
    assert launch.with_user_dir(["moleblend_plugin"]) == ["moleblend_plugin", "--user-dir", own]
    (tmp_path / "moleblend_plugin").mkdir()
    assert launch.with_user_dir(["--user-dir", "moleblend_plugin"]) == ["--user-dir", "moleblend_plugin"]


def test_a_reader_that_leaves_does_not_end_training(tmp_path: Path) -> None:
    arguments = [str(word) for word in (40, *CHOICES, "--batch-size", 4, "--max-epoch", 1, "--cpu")]
    command = [
        sys.executable,
        "-m",
        "moleblend_plugin.trainer.main",
        *arguments,
        "--save-dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert "Traceback" not in errors
    assert (tmp_path / "checkpoint1.pt").is_file()


OWN_COMMAND = """
import os, sys, types
from moleblend_plugin.runs import unicore_command
from moleblend_plugin.runs.launch import SAID
assert not unicore_command.is_command()
sys.modules["unicore_cli.train"] = types.ModuleType("unicore_cli.train")
os.environ[SAID] = str(os.getpid())
assert not unicore_command.is_command()  # our unicore-train has said it
os.environ[SAID] = str(os.getppid())
assert unicore_command.is_command()
unicore_command.speak_up()
from moleblend_plugin.errors import MoleblendError
if sys.argv[1] == "MISTAKE":
    try:
        raise MoleblendError("MISTAKE: no such folder")
    except MoleblendError:
        raise Exception("architectures do not match")  # Uni-Core replaces some errors by a vaguer one
raise ValueError("a bug")
"""


def test_uni_cores_own_command_says_the_same() -> None:
    environment = os.environ | {"PYTHONPATH": str(SHIM.parents[1])}
    mistake, bug = (
        subprocess.run(
            [sys.executable, "-c", OWN_COMMAND, word], capture_output=True, text=True, env=environment
        )
        for word in ("MISTAKE", "BUG")
    )
    assert mistake.stdout == bug.stdout == "moleblend_plugin: running Uni-Core's own trainer\n"
    assert mistake.stderr == "error: MISTAKE: no such folder\n"
    assert mistake.returncode == 2
    assert bug.returncode == 1
    assert "ValueError: a bug" in bug.stderr
