"""Pretrains the variants of ablations.toml one after the other, then compares them by ``moleblend bench``.

python ablate.py STORE DATA OUT [--only NAME,...] [--config FILE] [--pretrain-only]
          [--sets NAME,...] [--flags="FLAG ..."]

A variant that is done is not trained again; one that was cut short goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TRAIN = [sys.executable, "-m", "moleblend_plugin.trainer.main"]
BENCH = [sys.executable, "-m", "moleblend_plugin.cli.main", "bench"]
FINISHED = "seconds"
RETRIEVAL = ("retrieval_2d_3d", "retrieval_2d_image", "retrieval_image_3d")
SIGNS = ("effective_rank", "anchor_perplexity", "collapse_alarms")
BLENDED = ("spd_accuracy", "edge_accuracy", "distance_mae", "denoise_cosine")
COLUMNS = ("loss", *RETRIEVAL, *SIGNS, *BLENDED)


def flags_of(config: dict[str, Any], variant: dict[str, Any]) -> list[str]:
    """Flags of a variant: those of all, of its kind less what it drops, its own."""
    kind = config["kinds"][variant["kind"]]["flags"]
    kept = [flag for flag in kind if flag not in variant.get("drop", [])]
    return [*config["pretrain"]["flags"], *kept, *variant.get("flags", [])]


def pretrain(name: str, flags: list[str], store: Path, folder: Path) -> Path:
    """Train one variant; its last checkpoint."""
    done, checkpoint = folder / FINISHED, folder / "checkpoint_last.pt"
    if done.is_file():
        print(f"{name}: done before")
        return checkpoint
    print(f"{name}: moleblend-train {' '.join(flags)}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        subprocess.run(
            [*TRAIN, str(store), *flags, "--save-dir", str(folder)], check=True, stdout=log, stderr=log
        )
    done.write_text(f"{time.monotonic() - begun:.0f}\n", encoding="utf-8")
    return checkpoint


def last_valid(folder: Path) -> dict[str, Any]:
    """Numbers of the last validation."""
    events = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    valid = [event for event in events if event["event"] == "valid"]
    return valid[-1] if valid else {}


def write_table(names: list[str], out: Path) -> None:
    """``pretraining.csv``: seconds and validation numbers of every variant."""
    with (out / "pretraining.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["variant", "seconds", *COLUMNS])
        for name in names:
            folder = out / "pretrain" / name
            numbers = last_valid(folder)
            seconds = (folder / FINISHED).read_text(encoding="utf-8").strip()
            writer.writerow([name, seconds, *(numbers.get(column, "") for column in COLUMNS)])


def bench_config(config: dict[str, Any], names: list[str], base: Path) -> str:
    """The comparison's TOML with a model for every variant, and one from scratch."""
    arch, flags = json.dumps(config["arch"]), json.dumps(config["readout"])
    ours = [
        f'\n[[models]]\nname = "{name}"\nkind = "ours"\narch = {arch}\npretrained = true\nflags = {flags}\n'
        for name in names
    ]
    scratch = f'\n[[models]]\nname = "scratch"\nkind = "ours"\narch = {arch}\nflags = {flags}\n'
    return base.read_text(encoding="utf-8") + "".join(ours) + scratch


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="folder of stores, with drawings (moleblend images)")
    parser.add_argument("data", type=Path, help="folder of the benchmark's tables and splits")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="variants, with commas between them")
    parser.add_argument("--config", type=Path, default=HERE / "ablations.toml")
    parser.add_argument("--pretrain-only", action="store_true")
    parser.add_argument("--sets", default="", help="sets of the comparison, with commas between them")
    parser.add_argument("--flags", default="", help="of every pretraining; they win over the file's")
    args = parser.parse_args()
    config = tomllib.loads(args.config.read_text(encoding="utf-8"))
    names = args.only.split(",") if args.only else list(config["variants"])
    unknown = [name for name in names if name not in config["variants"]]
    if unknown:
        sys.exit(f"error: --only {unknown[0]}: choose from {', '.join(config['variants'])}")
    checkpoints = {
        name: pretrain(
            name,
            [*flags_of(config, config["variants"][name]), *shlex.split(args.flags)],
            args.store,
            args.out / "pretrain" / name,
        )
        for name in names
    }
    write_table(names, args.out)
    if args.pretrain_only:
        return
    toml = args.out / "bench.toml"
    toml.write_text(bench_config(config, names, args.config.parent / config["bench"]), encoding="utf-8")
    given = [word for name, file in checkpoints.items() for word in ("--checkpoint", f"{name}={file}")]
    given += ["--sets", args.sets] if args.sets else []
    subprocess.run(
        [*BENCH, str(toml), "--data", str(args.data), "--out", str(args.out / "bench"), *given], check=True
    )


if __name__ == "__main__":
    main()
