"""Whatever takes a checkpoint takes the name of a bundled network: trainers, commands, bench."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.bench.spec.config import load_config
from moleblend_plugin.cli.main import main
from moleblend_plugin.cli.rerun import changes
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.networks.registry import DEFAULT_NETWORK, FOLDER, bundled_networks
from moleblend_plugin.tasks.guards import check_run
from moleblend_plugin.tasks.load import load_encoder, network_flags
from moleblend_plugin.trainer.main import main as train
from tests.labelled import write_labelled
from tests.tasks.test_pretrain import arguments

BUNDLED = FOLDER / f"{DEFAULT_NETWORK}.pt"
ARCH = bundled_networks()[DEFAULT_NETWORK].arch.replace("moleblend_", "moleblend_property_")
PROPERTY = (
    *("--task", "moleblend_property", "--loss", "moleblend_regression", "--arch", ARCH, "--cpu"),
    *("--input-mode", "2d", "--batch-size", "8", "--num-workers", "0", "--disable-validation"),
)


def run(*words: object) -> int:
    """Exit code of a command."""
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molecules") / "m.smi"
    path.write_text("CCO ethanol\nbad(\nc1ccccc1 benzene\n")
    return path


def test_a_training_command_starts_from_a_name_and_resumes_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_labelled(tmp_path, {"train": [[float(n), 1.0] for n in range(8)]})
    words = [data, *PROPERTY, "--finetune-from-model", DEFAULT_NETWORK, "--save-dir", tmp_path / "run"]
    assert train([str(word) for word in [*words, "--lr", 0, "--max-update", 1]]) == 0
    assert f"Loaded weights of {BUNDLED}" in capsys.readouterr().out
    state = read_checkpoint(tmp_path / "run" / "checkpoint_last.pt")
    bundled = read_checkpoint(BUNDLED, ("model",))
    assert state["args"].finetune_from_model == str(BUNDLED)
    shared = set(state["model"]) & set(bundled["model"])
    assert len(shared) > 50
    assert all(torch.equal(state["model"][name], bundled["model"][name]) for name in shared)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert DEFAULT_NETWORK in record["arguments"]
    assert record["started_from"] == {
        "path": str(BUNDLED), "name": DEFAULT_NETWORK, "sha256": bundled_networks()[DEFAULT_NETWORK].sha256,
    }  # fmt: skip
    assert train([str(word) for word in [*words, "--lr", 0, "--max-update", 2]]) == 0
    assert "resuming from" in capsys.readouterr().out
    elsewhere = Path("/opt/venv/moleblend_plugin/networks", BUNDLED.name)
    assert changes(record | {"started_from": record["started_from"] | {"path": str(elsewhere)}}) == []


def test_a_run_of_another_installation_began_from_the_same_network(tmp_path: Path) -> None:
    began = "/opt/venv/moleblend_plugin/networks/" + BUNDLED.name
    state = {"model": {}, "optimizer_history": [], "extra_state": {}}
    state["args"] = Namespace(finetune_from_model=began)
    (tmp_path / "run").mkdir()
    torch.save(state, tmp_path / "run" / "checkpoint_last.pt")
    given = {"save_dir": str(tmp_path / "run"), "finetune_from_model": DEFAULT_NETWORK, "max_update": 1}
    given |= {"restore_file": "checkpoint_last.pt"}
    for host in ("embedded", "unicore"):
        args = arguments(tmp_path, **given)
        check_run(args, host)
        assert args.finetune_from_model == str(BUNDLED)
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(MoleblendError, match=f"belongs to a run that began from {began}"):
        check_run(arguments(tmp_path, **given | {"finetune_from_model": str(tmp_path / "other.pt")}))


def test_a_name_that_is_none_is_refused_by_the_trainer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path), *PROPERTY, "--max-update", "1", "--finetune-from-model", DEFAULT_NETWORK[:-1]]
    assert train(words) != 0
    error = capsys.readouterr().err
    assert f"--finetune-from-model {DEFAULT_NETWORK[:-1]!r} is neither a file nor" in error
    assert f"did you mean {DEFAULT_NETWORK}" in error


def test_the_library_takes_names() -> None:
    encoder, args = load_encoder(DEFAULT_NETWORK)
    assert encoder.config.encoder_embed_dim == args.encoder_embed_dim
    assert network_flags(Path(DEFAULT_NETWORK)) == network_flags(BUNDLED)
    assert Embedder.from_checkpoint("default", device="cpu").width == encoder.config.encoder_embed_dim


def test_embed_takes_a_name_or_none(
    molecules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = []
    options = ("--input-mode", "2d", "--device", "cpu", "--workers", 1, "--out")
    for number, first in enumerate(([], [DEFAULT_NETWORK], ["default"], [BUNDLED])):
        out = tmp_path / f"{number}.npz"
        assert run("embed", *first, molecules, *options, out) == 0
        assert (f"network: {DEFAULT_NETWORK}" in capsys.readouterr().err) is (not first)
        with np.load(out, allow_pickle=False) as held:
            vectors.append(held["vectors"])
            assert held["failed_row"].tolist() == [1]
    assert vectors[0].shape[0] == 2
    for other in vectors[1:]:
        np.testing.assert_array_equal(other, vectors[0])


@pytest.mark.parametrize("command", ["predict", "score"])
def test_a_network_of_pretraining_predicts_nothing(
    command: str, molecules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run(command, DEFAULT_NETWORK, molecules, "--out", out, "--device", "cpu") == 2
    assert "predicts no property" in capsys.readouterr().err
    assert run(command, f"{DEFAULT_NETWORK}x", molecules, "--out", out) == 2
    assert f"did you mean {DEFAULT_NETWORK}" in capsys.readouterr().err


BENCH = """
[[sets]]
name = "mine"
table = "mine.csv"
split = "random"
targets = ["y"]
metric = "mae"

[[models]]
name = "fine"
kind = "ours"
checkpoint = "{named}"
"""


def test_bench_takes_a_name_in_its_file_and_its_option(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("")
    path = tmp_path / "bench.toml"

    def checkpoint(named: str, **given: Path) -> Path | None:
        path.write_text(BENCH.format(named=named))
        return load_config(path, checkpoints=given).models[0].checkpoint

    assert checkpoint(DEFAULT_NETWORK) == BUNDLED
    assert checkpoint("default") == BUNDLED
    (tmp_path / "own.pt").write_text("")
    assert checkpoint("own.pt") == tmp_path / "own.pt"
    assert checkpoint("own.pt", fine=Path(DEFAULT_NETWORK)) == BUNDLED
    with pytest.raises(MoleblendError, match=f"did you mean {DEFAULT_NETWORK}.*--checkpoint fine=FILE"):
        checkpoint(DEFAULT_NETWORK[:-1])
    (tmp_path / DEFAULT_NETWORK).write_text("")
    assert checkpoint(DEFAULT_NETWORK) == tmp_path / DEFAULT_NETWORK


def test_recipe_prints_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipe", "bbbp", "--checkpoint", DEFAULT_NETWORK) == 0
    assert f"--finetune-from-model {DEFAULT_NETWORK}" in capsys.readouterr().out
