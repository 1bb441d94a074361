"""Who is in charge, and what the border hands out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs import detect


@pytest.fixture(autouse=True)
def _nobody_in_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOLEBLEND_HOST", raising=False)
    monkeypatch.setattr(detect, "_in_charge", None)
    monkeypatch.delitem(sys.modules, "unicore", raising=False)


def test_nobody_trains_in_a_library_import() -> None:
    assert detect.trainer_in_charge() is None
    assert detect.chosen_host() == "embedded"


def test_uni_core_in_the_process_is_in_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unicore", object())
    assert detect.trainer_in_charge() == "unicore"
    assert detect.chosen_host() == "unicore"


def test_embedded_trainer_says_so_itself() -> None:
    detect.take_charge("embedded")
    assert detect.trainer_in_charge() == "embedded"


def test_environment_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unicore", object())
    monkeypatch.setenv("MOLEBLEND_HOST", "embedded")
    assert detect.chosen_host() == "embedded"


def test_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLEBLEND_HOST", "lightning")
    with pytest.raises(MoleblendError, match="MOLEBLEND_HOST='lightning'.*'unicore' or 'embedded'"):
        detect.chosen_host()


def test_asking_who_trains_imports_no_torch() -> None:
    code = (
        "import sys, moleblend_plugin.runs.detect as d; d.trainer_in_charge(); print('torch' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"


def test_border_hands_out_embedded_classes() -> None:
    from moleblend_plugin import host
    from moleblend_plugin.trainer.contract.task import BaseTask

    assert host.BaseTask is BaseTask
    assert host.HOST == "embedded"
    assert sorted(host.__all__) == sorted(name for name in host.__all__ if getattr(host, name) is not None)


def test_unknown_name_is_an_attribute_error() -> None:
    from moleblend_plugin import host

    with pytest.raises(AttributeError, match="no attribute 'BaseTrainer'"):
        _ = host.BaseTrainer
