"""What contributors expect of a repository is there, valid and true."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

import moleblend_plugin
from tests.test_public_api import MOVED

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
PAGES = [*sorted(GITHUB.rglob("*.yml")), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_yaml_is_a_mapping(path: Path) -> None:
    assert isinstance(load(path), dict)


def test_issue_forms_have_what_github_asks_for() -> None:
    forms = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 2
    for path in forms:
        form = load(path)
        assert form["name"]
        assert form["description"]
        identifiers = [field["id"] for field in form["body"]]
        assert len(set(identifiers)) == len(identifiers)
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_citation_is_of_this_version() -> None:
    citation = load(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == moleblend_plugin.__version__
    assert (citation["title"], citation["license"]) == (project["name"], project["license"])
    assert citation["references"][0]["url"] in project["urls"].values()


def test_the_workflow_runs_commands_that_exist() -> None:
    workflow = load(GITHUB / "workflows" / "tests.yml")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert (ROOT / ".ci" / "run").is_file()
    for command in commands:
        for target in re.findall(r"make ([\w-]+)", command):
            assert f"\n{target}:" in makefile
        for path in re.findall(r"tests/[\w/.]+", command):
            assert (ROOT / path).exists(), path


def test_hooks_run_tools_that_setup_installs() -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"\n{tool}==" in pins
        assert shutil.which(tool) or (ROOT / ".venv" / "bin" / tool).exists()


def test_the_policy_lists_what_is_deprecated() -> None:
    policy = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `(?:python -m )?(moleblend_plugin[\w.]+)` \|.*`[^`]*?(moleblend_plugin[\w.]+)` \|", policy, re.M
    )
    assert dict(listed) == MOVED
