"""Do intervals hold what they say? Coverage of trust on random and scaffold splits, networks and forests.

python coverage.py run DATA OUT [--base forest|network] [--sets esol freesolv bace] [--repeats 5]
python coverage.py table OUT

DATA holds ``moleculenet/NAME.csv.gz``. ``run`` writes a part of OUT for every set, split and repetition, and
leaves out what is there: repeat the command to go on. ``table`` prints what there is and writes scores.csv.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from moleblend_plugin.baselines.features import molecule_features
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.task_models import fit_tasks
from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.ensembles.folds import assign_folds
from moleblend_plugin.trust import Domain, HeldOut, Trust, calibrate, expected_calibration_error

Array = npt.NDArray[np.float64]
LEVEL = 0.9
TEST = 0.2
FOREST = "descriptors-ecfp4-counts-rf"
TREES = {"n_estimators": 60, "max_features": 0.1}
NETWORK = {"input_mode": "2d", "epochs": 15, "ensemble_size": 4, "learning_rate": 5e-4, "device": "cpu"}


class Table(NamedTuple):
    """Where a set's molecules and labels stand."""

    smiles: str
    target: str
    kind: str


SETS = {
    "esol": Table("smiles", "measured log solubility in mols per litre", "regression"),
    "freesolv": Table("smiles", "expt", "regression"),
    "bace": Table("mol", "Class", "classification"),
}
SETTINGS = (("random", "random"), ("scaffold", "random"), ("scaffold", "scaffold"))
"""How the test part is taken, and how the folds of the training part are made."""


class Said(NamedTuple):
    """What a model says of test molecules: values [M], deviation of its members [M], and its trust."""

    values: Array
    sd: Array
    trust: Trust


def read(data: Path, name: str) -> tuple[list[str], Array]:
    """SMILES and labels of a set."""
    table = SETS[name]
    with gzip.open(data / "moleculenet" / f"{name}.csv.gz", "rt", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row[table.smiles].strip() for row in rows], np.array([float(row[table.target]) for row in rows])


def test_rows(smiles: list[str], split: str, seed: int) -> npt.NDArray[np.bool_]:
    """A fifth of the molecules, bool [n]: at random, or whole Bemis-Murcko scaffolds in random order."""
    random, n = np.random.default_rng(seed), len(smiles)
    chosen = np.zeros(n, bool)
    if split == "random":
        chosen[random.permutation(n)[: round(TEST * n)]] = True
        return chosen
    names = np.array([scaffold_of(text, chiral=False) or f"none {row}" for row, text in enumerate(smiles)])
    for scaffold in random.permutation(np.unique(names)):
        group = names == scaffold
        if chosen.sum() + group.sum() <= round(TEST * n):
            chosen |= group
    return chosen


def by_forest(
    features: npt.NDArray[Any],
    smiles: list[str],
    y: Array,
    test: npt.NDArray[np.bool_],
    kind: str,
    folds: str,
    seed: int,
) -> Said:
    """Five forests, each without one fold: calibrated as the estimators calibrate networks."""
    train = np.flatnonzero(~test)
    texts = [smiles[row] for row in train]
    groups = [scaffold_of(text, chiral=False) for text in texts] if folds == "scaffold" else None
    labels = y[train][:, None]
    fold = assign_folds(labels, kind, 5, seed, groups)  # type: ignore[arg-type]
    held, members = np.zeros_like(labels), []
    for number in range(5):
        own = fold == number
        model = fit_tasks(
            FOREST, kind == "classification", seed, features[train[~own]], labels[~own], ("y",), TREES
        )
        held[own] = model.predict(features[train[own]])
        members.append(model.predict(features[test])[:, 0])
    source = "scaffold folds" if groups else "folds"
    given = HeldOut(source, texts, train, labels, held, fold)  # type: ignore[arg-type]
    trust = calibrate(kind, ("y",), Domain.of(texts, train), given)  # type: ignore[arg-type]
    return Said(np.mean(members, 0), np.std(members, 0, ddof=1), trust)


def by_network(
    smiles: list[str], y: Array, test: npt.NDArray[np.bool_], kind: str, folds: str, seed: int
) -> Said:
    """An estimator's ensemble, from the bundled network."""
    from moleblend_plugin import MoleblendClassifier, MoleblendRegressor
    from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
    from moleblend_plugin.inference import Predictor
    from moleblend_plugin.schema import MoleculeRecord

    make = MoleblendRegressor if kind == "regression" else MoleblendClassifier
    train = np.flatnonzero(~test)
    labels = y[train] if kind == "regression" else y[train].astype(int)
    model = make(**NETWORK, folds=folds, random_state=seed).fit([smiles[row] for row in train], labels)
    network = Predictor.from_bytes(model.checkpoint_, "cpu")
    config = ConversionConfig(None, source_coords=False)
    made = [convert_molecule(smiles[row], int(row), config) for row in np.flatnonzero(test)]
    found = list(network.predict_members(one for one in made if isinstance(one, MoleculeRecord)))
    return Said(
        np.array([one.values[0] for one in found]), np.array([one.sd[0] for one in found]), model.trust_
    )


def measured(said: Said, smiles: list[str], y: Array) -> dict[str, float]:
    """Everything that the table shows, of test molecules."""
    trust, values = said.trust, said.values
    similarity = trust.nearest(smiles).similarity
    outside = trust.domain.is_outside(similarity)
    far = similarity <= np.quantile(similarity, 1 / 3)
    error = np.abs(y - values)
    found = {
        "molecules": float(len(y)),
        "similarity": float(similarity.mean()),
        "outside": float(outside.mean()),
        "spearman_sd": float(spearmanr(said.sd, error).statistic),
        "spearman_distance": float(spearmanr(-similarity, error).statistic),
    }
    if trust.kind == "regression":
        found["rmse"] = float(np.sqrt((error**2).mean()))
        for kind in ("normalised", "absolute"):
            low, high = trust.intervals(values[:, None], similarity, LEVEL, kind)[:, 0].T  # type: ignore[arg-type]
            inside = (low <= y) & (y <= high)
            found[f"coverage_{kind}"] = float(inside.mean())
            found[f"width_{kind}"] = float((high - low).mean())
            found[f"coverage_far_{kind}"] = float(inside[far].mean())
        return found
    sets = trust.sets(values[:, None], LEVEL)[:, 0]
    inside = sets[np.arange(len(y)), y.astype(int)]
    after = trust.calibrated(values[:, None])[:, 0]
    return found | {
        "accuracy": float(((values > 0.5) == y).mean()),
        "coverage_sets": float(inside.mean()),
        "coverage_class_0": float(inside[y == 0].mean()),
        "coverage_class_1": float(inside[y == 1].mean()),
        "set_size": float(sets.sum(1).mean()),
        "calibration_error": expected_calibration_error(values, y),
        "calibration_error_after": expected_calibration_error(after, y),
    }


def cached_features(out: Path, name: str, smiles: list[str]) -> npt.NDArray[Any]:
    """Descriptors and counts of ECFP4 [n, F], computed once."""
    path = out / f"features_{name}.npz"
    if not path.is_file():
        values = molecule_features(BASELINES[FOREST].features, smiles).values
        np.savez_compressed(path, values=values)
    with np.load(path, allow_pickle=False) as archive:
        return archive["values"]


def run(data: Path, out: Path, base: str, names: list[str], repeats: int) -> None:
    """Every part that is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (seed, name, split, folds) for seed in range(repeats) for name in names for split, folds in SETTINGS
    ]
    for seed, name, split, folds in jobs:
        path = out / f"{base}-{name}-{split}-{folds}-{seed}.json"
        if path.exists():
            continue
        smiles, y = read(data, name)
        kind, test = SETS[name].kind, test_rows(smiles, split, seed)
        started = time.process_time()
        if base == "forest":
            said = by_forest(cached_features(out, name, smiles), smiles, y, test, kind, folds, seed)
        else:
            said = by_network(smiles, y, test, kind, folds, seed)
        found = measured(said, [smiles[row] for row in np.flatnonzero(test)], y[test])
        about = {"base": base, "set": name, "split": split, "folds": folds, "seed": seed}
        seconds = round(time.process_time() - started, 1)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(about | {"cpu_seconds": seconds} | found, indent=1), encoding="utf-8")
        os.replace(temporary, path)
        shown = found.get("coverage_normalised", found.get("coverage_sets"))
        print(f"{path.stem}: coverage {shown:.3f}, {seconds:.0f} processor seconds", flush=True)


SHOWN = {
    "regression": [
        ("coverage", "coverage_normalised", 100),
        ("far third", "coverage_far_normalised", 100),
        ("width", "width_normalised", 1),
        ("coverage, one width", "coverage_absolute", 100),
        ("far third, one width", "coverage_far_absolute", 100),
        ("one width", "width_absolute", 1),
        ("RMSE", "rmse", 1),
        ("rank correlation of error and sd", "spearman_sd", 1),
        ("of error and distance", "spearman_distance", 1),
        ("outside domain", "outside", 100),
    ],
    "classification": [
        ("coverage", "coverage_sets", 100),
        ("of class 0", "coverage_class_0", 100),
        ("of class 1", "coverage_class_1", 100),
        ("classes in a set", "set_size", 1),
        ("calibration error before", "calibration_error", 1),
        ("after", "calibration_error_after", 1),
        ("accuracy", "accuracy", 100),
        ("rank correlation of error and sd", "spearman_sd", 1),
        ("outside domain", "outside", 100),
    ],
}


def table(out: Path) -> None:
    """Means (standard deviations) over repetitions, in Markdown; every part in scores.csv beside it."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*-*-*.json"))]
    if not parts:
        raise SystemExit(f"error: {out} holds no parts: run first")
    columns = list(dict.fromkeys(key for part in parts for key in part))
    with (Path(__file__).parent / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in part.items()}
            for part in parts
        )
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for part in parts:
        groups[tuple(part[key] for key in ("base", "set", "split", "folds"))].append(part)
    for base in dict.fromkeys(key[0] for key in groups):
        for kind, shown in SHOWN.items():
            rows = {
                key: found for key, found in groups.items() if key[0] == base and SETS[key[1]].kind == kind
            }
            if not rows:
                continue
            heads = " | ".join(one[0] for one in shown)
            print(f"\n{base}, {kind}\n\n| set | split | folds | repetitions | {heads} |")
            print("|---" * (4 + len(shown)) + "|")
            for key, found in rows.items():
                cells = []
                for _, name, factor in shown:
                    values = np.array([part[name] for part in found]) * factor
                    digits = 1 if factor == 100 else 2
                    sd = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
                    cells.append(f"{values.mean():.{digits}f}{sd}")
                print(f"| {' | '.join(key[1:])} | {len(found)} | {' | '.join(cells)} |")


def main() -> None:
    """The two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("data", type=Path)
    runs.add_argument("out", type=Path)
    runs.add_argument("--base", choices=("forest", "network"), default="forest")
    runs.add_argument("--sets", nargs="+", choices=sorted(SETS), default=list(SETS))
    runs.add_argument("--repeats", type=int, default=5)
    tables = commands.add_parser("table")
    tables.add_argument("out", type=Path)
    given = parser.parse_args()
    if given.command == "table":
        table(given.out)
    else:
        run(given.data, given.out, given.base, given.sets, given.repeats)


if __name__ == "__main__":
    main()
