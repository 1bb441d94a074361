"""Adds a trained network to the package: python tools/bundle_network.py CHECKPOINT NAME --card CARD.md.

Writes NAME.pt (weights and options, without optimiser and without paths of this machine; a file that holds
nothing else is taken as it is), NAME.json (its entry: size, sha256, and the vector of a molecule that a test
computes again) and NAME.md (the card, with a section on the file) to moleblend_plugin/networks/. The
line under the card's title becomes the summary of 'moleblend models'. To make the network the default, change
DEFAULT_NETWORK in moleblend_plugin/networks/registry.py.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing, sha256_of
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.models.property.network import encoder_part
from moleblend_plugin.networks.registry import CARD_HEADINGS, FOLDER, LARGEST, BundledNetwork, write_entry
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.tasks.load import read_run

PROBE = "CC(=O)Oc1ccccc1C(=O)O"
"""Aspirin: rings, double bonds, oxygens of three kinds."""

OF_THIS_MACHINE = re.compile(
    r"data|user_dir|.*_dir|.*_?logdir|restore_file|finetune_from_model|tmp_save_dir|distributed_.*|device_id|"
    r"num_workers|local_rank|nprocs_per_node|log_.*|wandb.*"
)
"""Options that say where and how a run ran, not what the network is."""


def bundle(
    checkpoint: Path,
    name: str,
    card: Path,
    folder: Path = FOLDER,
    use_ema: bool = False,
    encoder_only: bool = False,
    replace: bool = False,
) -> BundledNetwork:
    """Write the three files of a network, all of them or none.

    Args:
        checkpoint: of a training run.
        name: of the network.
        card: its model card, with the headings of ``CARD_HEADINGS`` other than the last.
        folder: where bundled networks lie.
        use_ema: take the moving average of the weights.
        encoder_only: leave out the heads of pretraining.
        replace: let the name stand for other bytes than before, for a network that was never released.

    Raises:
        MoleblendError: a name that cannot be or is taken, a card with sections missing, too large a file.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name):
        raise MoleblendError(f"{name!r}: give words of small letters and digits with dashes between them")
    target = folder / f"{name}.pt"
    if target.exists() and not replace:
        raise MoleblendError(
            f"{name!r} is taken: choose another name, or add --replace if it was never released"
        )
    text = card.read_text(encoding="utf-8")
    summary = summary_of(text, card, name)
    state, args = read_run(checkpoint)
    weights = chosen_weights(state, use_ema, encoder_only)
    kept = {"args": portable(args), "model": weights}  # Uni-Core takes any "extra_state" for that of a run
    with TemporaryDirectory() as made:
        file = Path(made, target.name)
        if holds_nothing_else(state, kept):
            file.write_bytes(checkpoint.read_bytes())
        else:
            torch.save(kept, file)
        size = file.stat().st_size
        if size > LARGEST:
            raise MoleblendError(
                f"{name}: {size:,} bytes, and the package carries at most {LARGEST:,} for one"
            )
        network = BundledNetwork(
            name=name,
            summary=summary,
            arch=args.arch,
            weights=sum(value.numel() for value in weights.values()),
            size=size,
            sha256=sha256_of(file),
            probe_smiles=PROBE,
            probe_vector=tuple(float(value) for value in probe_vector(file, PROBE)),
        )
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in (
            (".pt", file.read_bytes()),
            (".md", with_file_section(text, network).encode()),
        ):
            with replacing(folder / f"{name}{suffix}") as temporary:
                temporary.write_bytes(content)
        with replacing(folder / f"{name}.json") as temporary:
            write_entry(network, temporary)
    return network


def holds_nothing_else(state: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is what would be written: its bytes, and so its checksum, can stay."""
    return (
        state.keys() == kept.keys()
        and vars(state["args"]) == vars(kept["args"])
        and state["model"].keys() == kept["model"].keys()
        and all(torch.equal(value, kept["model"][name]) for name, value in state["model"].items())
    )


def summary_of(card: str, path: Path, name: str) -> str:
    """The paragraph under the title, one line.

    Raises:
        MoleblendError: there is none, or a section is missing.
    """
    found = re.match(rf"# {name}\n\n((?:(?!#).+\n)+)", card)
    if found is None:
        raise MoleblendError(f"{path}: begin with '# {name}', and a line on what the network is")
    missing = [title for title in CARD_HEADINGS[:-1] if not re.search(rf"^## {title}\n", card, re.MULTILINE)]
    if missing:
        raise MoleblendError(
            f"{path} lacks the sections {', '.join(missing)}: add '## {missing[0]}' and so on"
        )
    return " ".join(found[1].split()).rstrip(".")


def with_file_section(card: str, network: BundledNetwork) -> str:
    """The card with a last section on the file of weights."""
    body = re.sub(rf"^## {CARD_HEADINGS[-1]}\n.*", "", card, flags=re.MULTILINE | re.DOTALL).rstrip()
    return (
        f"{body}\n\n## {CARD_HEADINGS[-1]}\n\n{network.weights:,} weights, {network.size:,} bytes, sha256\n"
        f"`{network.sha256}`\n"
    )


def chosen_weights(state: Mapping[str, Any], use_ema: bool, encoder_only: bool) -> dict[str, torch.Tensor]:
    """Weights by name, on the CPU.

    Raises:
        MoleblendError: no moving average.
    """
    weights: dict[str, torch.Tensor] = dict(state["model"])
    if use_ema:
        if not state.get("ema"):
            raise MoleblendError("the checkpoint holds no moving average: leave --use-ema out")
        weights |= state["ema"]["params"]
    if encoder_only:
        names = set(encoder_part(weights))
        weights = {name: value for name, value in weights.items() if name in names}
    return {name: value.detach().clone().contiguous() for name, value in weights.items()}


def portable(args: argparse.Namespace) -> argparse.Namespace:
    """The options that say what the network is, with how its data had been made.

    Raises:
        MoleblendError: one of them still holds a path of this machine.
    """
    kept = {key: value for key, value in vars(args).items() if not OF_THIS_MACHINE.fullmatch(key)}
    store = Path(getattr(args, "data", "") or "", "train.lmdb")
    if "conversion" not in kept and store.is_file():
        conversion = MoleculeStore(store).meta.settings.get("conversion")
        kept |= {"conversion": conversion} if conversion else {}
    for key, value in kept.items():
        if isinstance(value, str) and (Path(value).is_absolute() or ("/" in value and Path(value).exists())):
            raise MoleblendError(
                f"option {key} holds {value!r}, a path of this machine: add it to OF_THIS_MACHINE"
            )
    return argparse.Namespace(**kept)


def probe_vector(path: Path, smiles: str) -> np.ndarray:
    """Mean embedding of a molecule's atoms from its 2D graph, float32 [D]."""
    record = convert_molecule(smiles, 0, ConversionConfig(None, source_coords=False))
    assert isinstance(record, MoleculeRecord)
    embedder = Embedder.from_checkpoint(path, "mean", "cpu", "2d")
    return np.asarray(next(embedder.embed_records([record])))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    parser.add_argument("--card", type=Path, required=True, help="model card (Markdown)")
    parser.add_argument("--use-ema", action="store_true", help="take the moving average of the weights")
    parser.add_argument("--encoder-only", action="store_true", help="leave out the heads of pretraining")
    parser.add_argument("--replace", action="store_true", help="of a network that was never released")
    options = vars(parser.parse_args())
    try:
        network = bundle(**options)
    except MoleblendError as error:
        sys.exit(f"error: {error}")
    print(f"{network.path}: {network.size:,} bytes, {network.weights:,} weights, sha256 {network.sha256}")
    print(f"{network.card}: {network.summary}")


if __name__ == "__main__":
    main()
