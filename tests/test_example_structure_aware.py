"""The ablations of examples/40_structure_aware: flags of every variant work, the comparison's file is one."""

from __future__ import annotations

import csv
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from moleblend_plugin.bench.spec.config import load_config
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.samples.views import ViewConfig
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.losses.structure import StructureLossConfig
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.runs import detect
from moleblend_plugin.runs.flags import read_flags
from tests.trainers import ROOT

FOLDER = ROOT / "examples" / "40_structure_aware"
CONFIG = tomllib.loads((FOLDER / "ablations.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ablate() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("ablate", FOLDER / "ablate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablate"] = module
    spec.loader.exec_module(module)
    return module


def lay_out(comparison: Path, data: Path) -> None:
    """Empty files where a comparison's tables and splits should be."""
    for part in tomllib.loads(comparison.read_text(encoding="utf-8"))["sets"]:
        split = part["split"].split(":")[1:]  # a file's name, if any
        for name in (part["table"], *split):
            (data / name).parent.mkdir(exist_ok=True)
            (data / name).touch()


@pytest.mark.parametrize("name", CONFIG["variants"])
def test_a_variants_flags_parse(ablate: ModuleType, name: str) -> None:
    from moleblend_plugin.trainer.command.options import parse_options

    detect.take_charge("embedded")
    try:
        args = parse_options(["store", *ablate.flags_of(CONFIG, CONFIG["variants"][name])])
    finally:
        detect.take_charge(None)
    assert args.max_update == args.total_num_update >= 1000
    for config in (ViewConfig, StructureConfig, StructureLossConfig, BlendConfig, PretrainLossConfig):
        read_flags(args, config)
    assert getattr(args, "share_encoder", False) is (not name.startswith("blend") and "two-enc" not in name)


def test_the_comparison_has_a_model_for_every_variant(ablate: ModuleType, tmp_path: Path) -> None:
    names = list(CONFIG["variants"])
    file = tmp_path / "bench.toml"
    file.write_text(ablate.bench_config(CONFIG, names, FOLDER / CONFIG["bench"]), encoding="utf-8")
    lay_out(file, tmp_path)
    config = load_config(file, tmp_path, dict.fromkeys(names, file))
    assert [model.name for model in config.models] == [*names, "scratch"]
    assert config.models[-1].checkpoint is None


def test_a_variant_is_trained_once(
    ablate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has its seconds and last validation; a second call trains nothing."""
    folder = tmp_path / "pretrain" / "blend"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(
        '{"event": "valid", "loss": 2.5, "spd_accuracy": 0.5}\n', encoding="utf-8"
    )
    calls: list[list[str]] = []
    monkeypatch.setattr(ablate.subprocess, "run", lambda command, **more: calls.append(command))
    for _ in range(2):
        ablate.pretrain("blend", ["--lr", "1"], tmp_path / "store", folder)
    assert [command[-4:] for command in calls] == [["--lr", "1", "--save-dir", str(folder)]]
    ablate.write_table(["blend"], tmp_path)
    with (tmp_path / "pretraining.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["variant"], row["seconds"]) == ("blend", "0")
    assert (row["loss"], row["spd_accuracy"], row["collapse_alarms"]) == ("2.5", "0.5", "")
    assert "blend: done before" in capsys.readouterr().out


def test_the_untrained_gins_comparison_loads(tmp_path: Path) -> None:
    lay_out(FOLDER / "gin.toml", tmp_path)
    models = load_config(FOLDER / "gin.toml", tmp_path).models
    assert {model.arch for model in models} == {"moleblend_property_gin"}
    assert {model.checkpoint for model in models} == {None}
