"""``moleblend import-official``: a published MoleBLEND checkpoint -> one of ours, nothing lost unseen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

    from moleblend_plugin.models.blend.published_weights import Imported


def import_official(
    checkpoint: Annotated[Path, typer.Argument(help="Published checkpoint (.pt) or its weights as .npz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write, for --finetune-from-model.")],
) -> None:
    """Map a published checkpoint's names to ours and list every name left over on either side."""
    from moleblend_plugin.models.blend.published_weights import from_published

    imported = from_published(read_tensors(checkpoint))
    write(imported, out)
    print(f"{len(imported.state)} tensors written to {out}")
    print(f"flags that build this network: {rebuilding_flags(imported)}")
    for title, names in (
        ("published names without a place in ours", imported.unused_published),
        ("our names that stay freshly initialised", imported.missing_ours),
    ):
        print(f"{title}: {len(names)}")
        for name in names:
            print(f"  {name}")


def rebuilding_flags(imported: Imported) -> str:
    """``--arch moleblend_base`` and every flag in which the checkpoint differs from it."""
    from dataclasses import asdict

    from moleblend_plugin.models.blend.config import PRESETS

    base, differing = asdict(PRESETS["moleblend_base"]), asdict(imported.config)
    flags = [f"--{k.replace('_', '-')} {v}" for k, v in differing.items() if v != base[k]]
    return " ".join(["--arch moleblend_base", *flags])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a published ``.pt`` (state dict, alone or under "model") or an ``.npz``.

    The file is data: a pickle that holds anything but tensors, numbers, strings, plain containers and an
    ``argparse.Namespace`` of them is refused, and nothing of it is run.

    Raises:
        MoleblendError: missing, refused, damaged, or without tensors.
    """
    import torch

    if not path.is_file():
        raise MoleblendError(f"{path}: no such file; give the path of a published checkpoint")
    state = _read_npz(path) if path.suffix == ".npz" else _read_pickle(path)
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    tensors = {}
    if isinstance(state, dict):
        tensors = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise MoleblendError(f"{path}: no tensors in it; give a checkpoint with a state dict")
    return tensors


def _read_npz(path: Path) -> object:
    import zipfile

    import numpy as np
    import torch

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise MoleblendError(f"{path}: no readable .npz of plain arrays ({error})") from error


def _read_pickle(path: Path) -> object:
    import argparse
    import pickle

    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MoleblendError(
            f"{path}: refused, it holds more than tensors, numbers, strings and plain containers; nothing of "
            f"it was run. Save its state dict alone with torch.save, where you trust it "
            f"({str(error).splitlines()[0]})"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise MoleblendError(f"{path}: damaged or no PyTorch checkpoint; download it again") from error
    return state


def write(imported: Imported, out: Path) -> None:
    """Write the checkpoint in the trainers' layout; flags that rebuild the network are kept under "args"."""
    import argparse
    from dataclasses import asdict

    import torch

    # Codes that hang on the order of atoms.
    args = argparse.Namespace(arch="moleblend_base", input_codes="published", **asdict(imported.config))
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        torch.save({"args": args, "model": imported.state}, temporary)
