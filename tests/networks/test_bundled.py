"""Every network that ships with the package: its file, entry, card, and the vector that it must give."""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.networks import registry
from moleblend_plugin.networks.registry import (
    CARD_HEADINGS,
    DEFAULT_NETWORK,
    FOLDER,
    LARGEST,
    BundledNetwork,
    bundled_networks,
)
from moleblend_plugin.networks.resolve import find_checkpoint_file

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = list(bundled_networks().values())
each = pytest.mark.parametrize("network", NETWORKS, ids=[network.name for network in NETWORKS])


def test_there_is_a_default_and_it_comes_first() -> None:
    assert next(iter(bundled_networks())) == DEFAULT_NETWORK


def test_the_folder_holds_three_files_of_each_and_the_package_carries_them() -> None:
    held = {path.name for path in FOLDER.iterdir() if path.suffix not in (".py", "") and path.is_file()}
    assert held == {f"{name}{suffix}" for name in bundled_networks() for suffix in (".pt", ".json", ".md")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["setuptools"]["package-data"]["moleblend_plugin"]
    assert {f"networks/*{suffix}" for suffix in (".pt", ".json", ".md")} <= set(carried)


@each
def test_its_file_is_the_one_of_the_entry_and_holds_a_network_only(network: BundledNetwork) -> None:
    assert network.find_damage() is None
    assert network.size <= LARGEST
    state = read_checkpoint(network.path, ("model",))
    assert set(state) == {"args", "model"}  # Uni-Core takes any "extra_state" for that of a run
    assert sum(value.numel() for value in state["model"].values()) == network.weights
    assert state["args"].arch == network.arch
    texts = [value for value in vars(state["args"]).values() if isinstance(value, str)]
    assert [text for text in texts if "/" in text or "\\" in text] == []


@each
def test_its_card_has_every_section(network: BundledNetwork) -> None:
    card = network.card.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert [title for title in titles if title in CARD_HEADINGS] == list(CARD_HEADINGS)
    assert " ".join(card.split()).startswith(f"# {network.name} {network.summary}")
    for title in CARD_HEADINGS:
        assert re.search(rf"^## {title}\n\n\S", card, re.MULTILINE), f"{title} is empty"
    last = card.partition(f"## {CARD_HEADINGS[-1]}\n")[2]
    for fact in (network.sha256, f"{network.size:,} bytes", f"{network.weights:,} weights"):
        assert fact in last
    assert "\n" not in network.summary


@each
def test_it_embeds_a_molecule_to_the_vector_of_its_entry(network: BundledNetwork) -> None:
    record = convert_molecule(network.probe_smiles, 0, ConversionConfig(None, source_coords=False))
    embedder = Embedder.from_checkpoint(network.name, "mean", "cpu", "2d")
    (vector,) = embedder.embed_records([record])
    assert len(network.probe_vector) == embedder.width
    np.testing.assert_allclose(vector, network.probe_vector, atol=1e-5)
    assert vector.std() > 0.01


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of networks in a place where it can be damaged."""
    folder = tmp_path / "moleblend_plugin" / "networks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(registry, "FOLDER", folder)
    return folder


def truncate(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-100])
    return r"has [\d,]+ bytes in place of [\d,]+"


def flip(path: Path) -> str:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    return r"has the sha256 \w{12}\.\.\. in place of \w{12}"


def exchange(path: Path) -> str:
    path.write_bytes(bytes(path.stat().st_size))
    return "has the sha256"


def remove(path: Path) -> str:
    path.unlink()
    return "cannot be read"


@pytest.mark.parametrize("damage", [truncate, flip, exchange, remove])
def test_a_damaged_file_is_one_line_with_the_remedy(copied: Path, damage: object) -> None:
    words = damage(copied / f"{DEFAULT_NETWORK}.pt")  # type: ignore[operator]
    with pytest.raises(MoleblendError, match=words) as caught:
        find_checkpoint_file(DEFAULT_NETWORK)
    assert str(caught.value).startswith(f"bundled network {DEFAULT_NETWORK!r} is damaged: {copied}")
    assert str(caught.value).endswith("install the package again (pip install --force-reinstall)")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", '{"name": "other"}', "[1]"])
def test_a_damaged_entry_is_one_line(copied: Path, text: str) -> None:
    (copied / f"{DEFAULT_NETWORK}.json").write_text(text)
    with pytest.raises(MoleblendError, match=r"\.json is damaged \(.*install the package again"):
        find_checkpoint_file("default")


def test_an_entry_of_another_name_and_a_missing_one(copied: Path) -> None:
    entry = copied / f"{DEFAULT_NETWORK}.json"
    network = bundled_networks()[DEFAULT_NETWORK]
    registry.write_entry(replace(network, name="other"), entry)
    with pytest.raises(MoleblendError, match="is the entry of 'other'"):
        bundled_networks()
    entry.unlink()
    with pytest.raises(MoleblendError, match="lacks the network"):
        find_checkpoint_file("default")
