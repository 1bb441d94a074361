"""`moleblend serve`: what it says before it answers."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.cli.main import main
from tests.checkpoints import property_checkpoint


def run(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt")


def test_what_is_said_before_it_answers(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    from moleblend_plugin.serving import server

    served = []

    def end_at_once(app: Any, listening: Any) -> None:
        served.append(app)
        listening.close()

    monkeypatch.setattr(server, "run_server", end_at_once)
    assert run("serve", model, "--port", 0, "--device", "cpu") == 0
    shown = capsys.readouterr()
    assert "open       http://127.0.0.1:" in shown.out
    assert shown.out.endswith("stopped\n")
    assert "warning" not in shown.err
    assert run("serve", model, "--host", "0.0.0.0", "--port", 0, "--device", "cpu") == 0
    assert "warning: --host 0.0.0.0: whoever reaches this machine" in capsys.readouterr().err
    assert len(served) == 2


def test_a_missing_extra_is_named(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return ordinary(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run("serve", model, "--port", 0) == 2
    assert "needs the package fastapi: pip install 'moleblend_plugin[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--interval", "0.9"), "--interval: the model does not say how far to trust it"),
        (("--device", "gpu"), "device 'gpu' cannot be used here"),
        (("--host", "999.1.1.1"), "--host 999.1.1.1 --port 0: no such address"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    model: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    pytest.importorskip("uvicorn")
    assert run("serve", model, "--port", 0, *options) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
