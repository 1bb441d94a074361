"""``moleblend recipe``: the commands that fine-tune on a named set with the published numbers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli._console import print_tables
from moleblend_plugin.names import write_targets

if TYPE_CHECKING:
    from moleblend_plugin.bench.spec.recipes import Recipe


def recipe(
    name: Annotated[str, typer.Argument(help="bbbp, esol, qm9, ...; or list for all of them.")],
    data: Annotated[Path | None, typer.Option("--data", help="Table of the set [default: NAME.csv].")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of stores [default: NAME].")] = None,
    split: Annotated[str, typer.Option(help="Another --split for the build, such as rows:FILE.")] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Pretrained checkpoint, or name of a bundled network, to start from [default: from scratch]."
        ),
    ] = None,
    arch: Annotated[str, typer.Option(help="Architecture.")] = "moleblend_property_base",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run.")] = 0,
) -> None:
    """Print the build and training commands of a MoleculeNet set, with Uni-Mol's settings.

    The two commands run as they are printed; lines that begin with # say what to know about them.
    """
    from moleblend_plugin.bench.spec.recipes import recipe_of

    if name == "list":
        _print_all()
        return
    found = recipe_of(name)
    table, stores = data or Path(f"{found.name}.csv"), out or Path(found.name)
    notes = [
        f"{found.name}: {found.tasks} {found.kind} task{'s' if found.tasks > 1 else ''}, {found.metric}, "
        f"input {found.input_mode}; numbers: {found.source}",
        *([found.note] if found.note else []),
        *(["--fp16 needs a GPU: leave it out on a CPU"] if found.training.fp16 else []),
    ]
    print("\n".join(f"# {note}" for note in notes))
    print(_shell(_build_words(found, table, stores, split)))
    print(_shell(_train_words(found, stores, arch, seed, checkpoint)))


def _build_words(found: Recipe, table: Path, stores: Path, split: str) -> list[str]:
    """The words of ``moleblend build`` for a preset."""
    return [
        *("moleblend", "build", str(table), "--out", str(stores)),
        *("--smiles-column", found.smiles, "--target-columns", write_targets(found.targets)),
        *("--conformers", found.conformers, "--split", split or found.split),
    ]


def _train_words(found: Recipe, stores: Path, arch: str, seed: int, checkpoint: Path | None) -> list[str]:
    """The words of ``unicore-train`` for a preset."""
    from moleblend_plugin.bench.spec.recipes import train_flags

    flags = train_flags(found.kind, found.metric, found.loss, found.training, found.targets, found.input_mode)
    start = ["--finetune-from-model", str(checkpoint)] if checkpoint else []
    return [
        *("unicore-train", str(stores), "--user-dir", "moleblend_plugin", "--arch", arch, *flags),
        *("--seed", str(seed), "--save-dir", f"{stores}/run-{seed}", *start),
    ]


def _shell(words: list[str]) -> str:
    """A command for a shell, a flag with its value per line."""
    lines, line = [], ""
    for word in words:
        quoted = shlex.quote(word)
        if word.startswith("--") and line:
            lines.append(line)
            line = f"    {quoted}"
        else:
            line = f"{line} {quoted}" if line else quoted
    return " \\\n".join([*lines, line])


def _print_all() -> None:
    from rich.table import Table

    from moleblend_plugin.bench.spec.recipes import RECIPES

    table = Table(box=None)
    for column in ("set", "tasks", "metric", "lr", "batch", "epochs", "dropout", "warm-up", "input", "from"):
        table.add_column(column, justify="left" if column in ("set", "metric", "input", "from") else "right")
    for found in RECIPES.values():
        run = found.training
        numbers = (run.lr, run.batch, run.epochs, run.dropout, run.warmup)
        words = [f"{value:g}" for value in numbers]
        table.add_row(found.name, str(found.tasks), found.metric, *words, found.input_mode, found.source)
    print_tables(table)
