"""tools/bundle_network.py: a checkpoint of a training run becomes three files of the package."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.networks import registry
from moleblend_plugin.networks.registry import CARD_HEADINGS, DEFAULT_NETWORK, FOLDER
from moleblend_plugin.networks.resolve import find_checkpoint_file
from tests.checkpoints import pretraining_checkpoint
from tools import bundle_network
from tools.bundle_network import bundle, portable, probe_vector

CARD = "# my-net\n\nA network\nof one update.\n\n" + "\n".join(f"## {t}\n\nx\n" for t in CARD_HEADINGS[:-1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretraining_checkpoint(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.md"
    path.write_text(CARD)
    return path


def test_a_network_is_added_and_found_by_its_name(
    trained: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "networks"
    network = bundle(trained, "my-net", card, folder)
    monkeypatch.setattr(registry, "FOLDER", folder)
    monkeypatch.setattr(registry, "DEFAULT_NETWORK", "my-net")
    assert find_checkpoint_file("default") == find_checkpoint_file("my-net") == folder / "my-net.pt"
    assert registry.bundled_networks() == {"my-net": network}
    assert network.summary == "A network of one update"
    before, after = (read_checkpoint(path, ("model",)) for path in (trained, folder / "my-net.pt"))
    assert before["model"].keys() == after["model"].keys()
    assert set(after) == {"args", "model"}
    np.testing.assert_array_equal(probe_vector(trained, network.probe_smiles), network.probe_vector)
    assert after["args"].conversion["conformers"]["count"] == 2  # of the store, which users do not have
    raw = (folder / "my-net.pt").read_bytes()
    assert str(tmp_path.parent).encode() not in raw
    assert str(trained.parent).encode() not in raw
    assert json.loads((folder / "my-net.json").read_text())["sha256"] == network.sha256
    text = (folder / "my-net.md").read_text()
    assert text.endswith(
        f"## File\n\n{network.weights:,} weights, {network.size:,} bytes, sha256\n`{network.sha256}`\n"
    )
    assert bundle_network.with_file_section(text, network) == text


def test_heads_may_be_left_out_and_averages_taken(trained: Path, card: Path, tmp_path: Path) -> None:
    whole = bundle(trained, "my-net", card, tmp_path / "a")
    encoder = bundle(trained, "my-net", card, tmp_path / "b", encoder_only=True)
    assert encoder.weights < whole.weights
    assert encoder.probe_vector == whole.probe_vector
    with pytest.raises(MoleblendError, match="holds no moving average"):
        bundle(trained, "my-net", card, tmp_path / "c", use_ema=True)
    state = torch.load(trained, weights_only=False)
    state["ema"] = {"params": {name: value + 1 for name, value in state["model"].items()}}
    torch.save(state, tmp_path / "ema.pt")
    bundle(tmp_path / "ema.pt", "my-net", card, tmp_path / "c", use_ema=True)
    averaged = read_checkpoint(tmp_path / "c" / "my-net.pt", ("model",))["model"]
    assert all(torch.equal(value, state["ema"]["params"][name]) for name, value in averaged.items())


def test_a_file_that_holds_nothing_else_keeps_its_bytes(card: Path, tmp_path: Path) -> None:
    bundled = FOLDER / f"{DEFAULT_NETWORK}.pt"
    assert (
        bundle(bundled, "my-net", card, tmp_path).sha256
        == registry.bundled_networks()[DEFAULT_NETWORK].sha256
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "My Net"}, "give words of small letters and digits"),
        ({"name": "net"}, "give words of small letters and digits"),
        ({"text": CARD.replace("## Scores\n", "")}, "lacks the sections Scores"),
        ({"text": CARD.replace("# my-net\n", "")}, "begin with '# my-net'"),
        ({"name": "other-net"}, "begin with '# other-net'"),
        ({"most": 1000}, r"bytes, and the package carries at most 1,000"),
    ],
)
def test_what_cannot_be_bundled(
    trained: Path,
    card: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr(bundle_network, "LARGEST", changed.get("most", 15_000_000))
    card.write_text(changed.get("text", CARD))
    with pytest.raises(MoleblendError, match=words):
        bundle(trained, changed.get("name", "my-net"), card, tmp_path / "networks")
    assert not (tmp_path / "networks").exists()


def test_a_name_stands_for_its_bytes(trained: Path, card: Path, tmp_path: Path) -> None:
    bundle(trained, "my-net", card, tmp_path)
    with pytest.raises(MoleblendError, match="'my-net' is taken: choose another name, or add --replace"):
        bundle(trained, "my-net", card, tmp_path, encoder_only=True)
    bundle(trained, "my-net", card, tmp_path, encoder_only=True, replace=True)


def test_a_path_of_the_machine_is_refused() -> None:
    args = Namespace(data="/x/y", save_dir="a", arch="moleblend_tiny", target_names=["log mol/L"])
    assert vars(portable(args)) == {"arch": "moleblend_tiny", "target_names": ["log mol/L"]}
    with pytest.raises(MoleblendError, match="option source holds '/home/x', a path of this machine"):
        portable(Namespace(source="/home/x"))


def test_the_command_says_what_it_wrote(
    trained: Path,
    card: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bundle_network, "bundle", lambda **given: bundle(**given, folder=tmp_path))
    monkeypatch.setattr(sys, "argv", ["bundle_network.py", str(trained), "my-net", "--card", str(card)])
    bundle_network.main()
    assert "A network of one update" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: 'my-net' is taken"):
        bundle_network.main()
