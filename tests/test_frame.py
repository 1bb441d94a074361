"""What people read first is true: README, examples, docs, versions and the make targets."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import moleblend_plugin

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ("00_demo", "10_pretrain_qm9", "20_moleculenet")
AWARE = "40_structure_aware"
COMMANDS = (
    *(
        "fit",
        "tune",
        "explain",
        "serve",
        "doctor",
        "models",
        "build",
        "join",
        "inspect",
        "splits",
        "export",
        "recipe",
        "bench",
        "predict",
        "embed",
    ),
    *("curves", "rerun", "import-official", "images", "anchors"),
)


def training_commands(name: str) -> list[list[str]]:
    """Arguments of every unicore-train command in a file; variables become a number, checkpoints exist."""
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = re.findall(r"unicore-train ((?:[^\n]*\\\n)*[^\n]*--[^\n]*)", text)
    plain = (re.sub(r"\$\{?\w+\}?", "1000", command.replace("\\\n", " ")) for command in commands)
    there = [
        re.sub(r"(?:runs|1000)/\S+\.pt", str(ROOT / "setup.py"), command) for command in plain
    ]  # any file
    return [shlex.split(command) for command in there]


TRAINING = [
    (name, arguments)
    for name in ("README.md", *(f"examples/{part}/run.sh" for part in EXAMPLES))
    for arguments in training_commands(name)
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )


def moleblend(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from moleblend_plugin.cli.main import main; sys.exit(main())"
    return run(sys.executable, "-c", code, *arguments, COLUMNS="100")


def test_training_commands_are_found() -> None:
    assert [name for name, _ in TRAINING].count("README.md") == 2
    assert len({name for name, _ in TRAINING}) == 1 + len(EXAMPLES)


@pytest.mark.parametrize(("name", "arguments"), TRAINING)
def test_documented_training_commands_parse(name: str, arguments: list[str]) -> None:
    assert arguments[1:3] == ["--user-dir", "moleblend_plugin"]
    code = (
        "import sys; from moleblend_plugin.runs import detect; detect.take_charge('embedded'); "
        "from moleblend_plugin.trainer.command.options import parse_options; "
        "print(parse_options(sys.argv[1:]).arch)"
    )
    done = run(sys.executable, "-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == arguments[arguments.index("--arch") + 1]


def test_paths_that_the_documents_name_exist() -> None:
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        *(f"examples/{part}/README.md" for part in (*EXAMPLES, AWARE)),
    ):
        document = ROOT / name
        text = document.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
        named = re.findall(r"`((?:moleblend_plugin|tests|tools|examples|docs)/[\w./]+)`", text)
        missing = [link for link in links if not (document.parent / link).exists()]
        missing += [path for path in named if not (ROOT / path).exists()]
        assert missing == [], name


def test_the_readme_is_two_screens() -> None:
    assert README.count("\n") < 100


def test_help_lists_the_documented_commands() -> None:
    done = moleblend("--help")
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}\s", done.stdout, re.MULTILINE), command
        assert f"`moleblend {command}`" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = moleblend(command, "--help")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = moleblend("curves", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_versions_agree() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == moleblend_plugin.__version__
    try:
        installed = importlib.metadata.version("moleblend_plugin")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("moleblend_plugin is not installed here, only imported; make setup installs it")
    assert installed == moleblend_plugin.__version__


def test_requirements_pin_everything_and_name_no_index() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in packages if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in packages}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    extras.pop("minimol")  # another's network, for comparisons: nobody gets it unasked
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    needed = [line.split(">=")[0] for line in lines if not line.startswith("moleblend_plugin[")]
    assert "torch" in needed
    assert set(needed) <= pinned


def test_the_lowest_versions_are_those_of_the_metadata() -> None:
    from tools import lowest

    text = '[project]\ndependencies = ["a>=1.0", "b-c>=2"]\n[project.optional-dependencies]\n'
    text += 'tensorboard = ["t>=3"]\nparquet = []\nserve = []\ntune = []\ncluster = []\n'
    text += 'test = ["pytest>=7"]\n'
    assert lowest.lowest(text) == ["a==1.0", "b-c==2", "t==3"]
    assert lowest.lowest(text, without=["a", "t"]) == ["b-c==2"]
    with pytest.raises(ValueError, match=r"'a~=1\.0' is not of the form name>=version"):
        lowest.lowest(text.replace("a>=1.0", "a~=1.0"))
    ours = lowest.lowest((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"torch==2.5", "numpy==1.24", "pyarrow==14"} <= set(ours)


def test_make_alone_says_what_each_target_does() -> None:
    done = run("make")
    assert done.returncode == 0, done.stderr
    documented = set(re.findall(r"^  make ([\w-]+) +\S", done.stdout, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert documented == set(phony[1].split())


def test_the_options_page_is_up_to_date() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tools'); import write_options; print(write_options.page(), end='')"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "options.md").read_text(encoding="utf-8"), (
        "run python tools/write_options.py"
    )


@pytest.mark.parametrize("name", ["flow", "rooms"])
def test_a_picture_is_what_its_script_draws(name: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, 'tools'); import draw_{name} as tool; print(tool.{name}(), end='')"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8"), (
        f"run python tools/draw_{name}.py"
    )


def test_the_qm9_example_refuses_a_missing_file() -> None:
    done = run("bash", "examples/10_pretrain_qm9/run.sh", "no/such.npz")
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'no/such.npz' is not a file")
