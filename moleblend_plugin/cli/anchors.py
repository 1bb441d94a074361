"""``moleblend anchors``: pictures of what a structure-aware run has learned about its molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moleblend_plugin.cli.inspect import store_files
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.event_log import validations
from moleblend_plugin.runs.run_files import EVENT_LOG

if TYPE_CHECKING:
    from torch import Tensor

    from moleblend_plugin.tasks.structure.load import Seen

_NEAREST = 4
"""Anchors shown for every molecule."""


def anchors(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of a structure-aware run.")],
    store: Annotated[Path, typer.Argument(help="A .lmdb store, or a folder with one, drawings beside it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")],
    molecules: Annotated[int, typer.Option(help="Molecules of the batch: the first of the store.")] = 256,
    rows: Annotated[int, typer.Option(help="Molecules whose nearest anchors are drawn.")] = 6,
) -> None:
    """Draw nearest anchors, the hypergraph of a batch and retrieval over the run (MMSA-style, reconstructed).

    An anchor is no molecule: the one of the batch that attends to it most stands for it.
    """
    from moleblend_plugin.chem.draw import draw_grid
    from moleblend_plugin.tasks.structure.load import load_structure_model, look_at

    for flag, value, least in (("--molecules", molecules, 2), ("--rows", rows, 1)):
        if value < least:
            raise MoleblendError(f"{flag} {value}: give {least} or more")
    model, args = load_structure_model(checkpoint)
    path = store_files(store)[0] if store.is_dir() else store
    seen = look_at(model, args, path, molecules)
    out.mkdir(parents=True, exist_ok=True)
    smiles, labels = nearest_anchors(seen, rows)
    (out / "anchors.svg").write_bytes(draw_grid(smiles, labels, 1 + _NEAREST))
    _draw_hypergraph(seen, out / "hypergraph.png")
    names = ["anchors.svg", "hypergraph.png"]
    history = retrieval_by_update(checkpoint.parent / EVENT_LOG)
    if history:
        _draw_retrieval(history, out / "retrieval.png")
        names.append("retrieval.png")
    print(f"{out}: {', '.join(names)} of {len(seen.smiles)} molecules of {path}")


def nearest_anchors(seen: Seen, rows: int) -> tuple[list[str], list[str]]:
    """SMILES and labels of the grid: in each row a molecule, then what stands for its nearest anchors."""
    weights = seen.output.weights  # [vertices, K]
    there = [
        text
        for text, takes_part in zip(seen.smiles, seen.output.vertices.tolist(), strict=True)
        if takes_part
    ]
    typical = weights.argmax(0).tolist() if len(there) else []
    smiles, labels = [], []
    for row in range(min(rows, len(there))):
        smiles.append(there[row])
        labels.append(f"molecule {row}")
        best = weights[row].topk(min(_NEAREST, weights.shape[1]))
        for share, anchor in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            smiles.append(there[typical[anchor]])
            labels.append(f"anchor {anchor}: {share:.0%}")
    return smiles, labels


def retrieval_by_update(path: Path) -> dict[str, list[tuple[int, float]]]:
    """(update, hit rate) by pair of views of every validation that a run logged; empty without a log."""
    history: dict[str, list[tuple[int, float]]] = {}
    for event in validations(path):
        for name, value in event.items():
            if name.startswith("retrieval_") and isinstance(value, int | float):
                history.setdefault(name, []).append((int(event["num_updates"]), float(value)))
    return history


def _draw_hypergraph(seen: Seen, path: Path) -> None:
    """Molecules in the plane of the two largest principal components; a line joins leader and member."""
    plt = _pyplot()
    output = seen.output
    place = _plane(output.unified[output.vertices])
    figure, axes = plt.subplots(figsize=(6, 6))
    for member, leader in output.members.nonzero().tolist():
        if member != leader:
            ends = place[[member, leader]].T
            axes.plot(*ends.tolist(), color="tab:blue", alpha=0.12, linewidth=0.6, zorder=1)
    degree = output.members.sum(1)
    dots = axes.scatter(*place.T.tolist(), c=degree.tolist(), s=14, cmap="viridis", zorder=2)
    figure.colorbar(dots, label="hyperedges of a molecule")
    axes.set_title(f"{len(place)} molecules, {int(output.members.sum(0).max())} in each hyperedge")
    axes.set_xlabel("first principal component of u")
    axes.set_ylabel("second")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def _plane(embedding: Tensor) -> Tensor:
    import torch

    centred = embedding - embedding.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    place: Tensor = centred @ axes[:2].T
    return place


def _draw_retrieval(history: dict[str, list[tuple[int, float]]], path: Path) -> None:
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(6, 4))
    for name, points in history.items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name.removeprefix("retrieval_"))
    axes.set_xlabel("update")
    axes.set_ylabel("top-1 in a validation batch")
    axes.set_ylim(0, 1)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def _pyplot() -> Any:  # noqa: ANN401  a module
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams["text.parse_math"] = False  # names are no formulas
    return pyplot
