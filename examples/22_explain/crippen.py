"""Do contributions of atoms say what a model has learned? Crippen's logP, of which the true ones are known.

    python crippen.py molecules.csv --out runs/explain

Crippen's logP is a sum over atoms (Wildman and Crippen, J. Chem. Inf. Comput. Sci. 1999, 39, 868), so every
atom has a true contribution. A model is fitted to the sum, another one to shuffled sums, and what explains
their predictions is compared with the true contributions, on molecules that neither was fitted to.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from moleblend_plugin import MoleblendRegressor
from moleblend_plugin.chem import ConversionConfig, convert_molecule
from moleblend_plugin.explain.gradients import integrated_gradients
from moleblend_plugin.explain.occlusion import occlusion
from moleblend_plugin.inference import Predictor
from moleblend_plugin.models import PropertyNet
from moleblend_plugin.schema import MoleculeRecord

Contributions = Callable[[PropertyNet, dict[str, torch.Tensor]], np.ndarray]


def true_contributions(smiles: str) -> np.ndarray:
    """Crippen's logP of every heavy atom with its hydrogens, [N], in the order of the SMILES."""
    mol = Chem.MolFromSmiles(smiles)
    atoms, full = mol.GetNumAtoms(), Chem.AddHs(mol)
    parts = np.array([logp for logp, _ in rdMolDescriptors._CalcCrippenContribs(full)])
    heavy = parts[:atoms].copy()
    for hydrogen in range(atoms, full.GetNumAtoms()):
        heavy[full.GetAtomWithIdx(hydrogen).GetNeighbors()[0].GetIdx()] += parts[hydrogen]
    return heavy


def read_smiles(path: Path, column: str) -> list[str]:
    """SMILES of 5 to 50 heavy atoms without explicit hydrogens, each molecule once, in a random order."""
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as stream
    ):
        given = [row[column] for row in csv.DictReader(stream)]
    found = {}
    for smiles in given:
        mol = Chem.MolFromSmiles(smiles)
        if mol is not None and 5 <= mol.GetNumAtoms() <= 50 and mol.GetNumAtoms() == mol.GetNumHeavyAtoms():
            found.setdefault(Chem.MolToSmiles(mol), smiles)
    order = np.random.default_rng(0).permutation(len(found))
    distinct = list(found.values())
    return [distinct[place] for place in order]


def fitted(path: Path, smiles: Sequence[str], labels: np.ndarray, options: dict[str, object]) -> Predictor:
    """The model at ``path``, which is trained where there is none yet."""
    if not path.exists():
        MoleblendRegressor(input_mode="2d", device="cpu", **options).fit(list(smiles), labels).save(path)
    return Predictor.from_checkpoint(path, "cpu")


def occluded(
    with_relations: bool, network: PropertyNet, net_input: dict[str, torch.Tensor]
) -> list[np.ndarray]:
    """[N], in units of the network's output."""
    return [occlusion(network, net_input, with_relations)[0][:, 0].numpy()]


def integrated(
    with_relations: bool, network: PropertyNet, net_input: dict[str, torch.Tensor]
) -> list[np.ndarray]:
    """[N + 1]: the same, and the number of steps."""
    found = integrated_gradients(network, net_input, with_relations)
    return [np.append(found.contributions[:, 0].numpy(), found.steps)]


def pearson(one: np.ndarray, other: np.ndarray) -> float:
    """NaN where one of them is the same everywhere."""
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else float("nan")


def compare(parts: Iterable[np.ndarray], true: Sequence[np.ndarray]) -> list[str]:
    """Correlation over all atoms, and its mean and median over molecules."""
    found = list(parts)
    each = np.array([pearson(one, other) for one, other in zip(found, true, strict=True)])
    pooled = pearson(np.concatenate(found), np.concatenate(true))
    return [f"{value:.3f}" for value in (pooled, np.nanmean(each), np.nanmedian(each))]


def explained(
    name: str, predictor: Predictor, records: Sequence[MoleculeRecord], true: Sequence[np.ndarray]
) -> Iterator[list[str]]:
    """A row per method."""
    network, std = predictor.network, float(predictor.network.target_std[0])
    methods: dict[str, Contributions] = {
        "occlusion, relations masked": partial(occluded, True, network),
        "integrated gradients, relations masked": partial(integrated, True, network),
    }
    if name == "crippen":
        methods["occlusion, relations kept"] = partial(occluded, False, network)
        methods["integrated gradients, relations kept"] = partial(integrated, False, network)
    for method, net in methods.items():
        began, steps = time.process_time(), ""
        found = list(predictor.run(net, records, 1))
        if method.startswith("integrated"):
            steps = f"{max(each[-1] for each in found):.0f}"
            found = [each[:-1] for each in found]
        seconds = (time.process_time() - began) / len(records)
        scores = compare([each * std for each in found], true)
        yield [name, method, str(len(records)), *scores, f"{seconds:.3f}", steps]


def main() -> None:
    """Fit, explain, compare, and write scores.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="CSV, may be .gz")
    parser.add_argument("--smiles-column", default="smiles")
    parser.add_argument("--out", type=Path, default=Path("runs/explain"))
    parser.add_argument("--train", type=int, default=2000, help="molecules to fit to")
    parser.add_argument("--test", type=int, default=200, help="molecules that are explained")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--shuffled-epochs", type=int, default=5, help="of the model of shuffled sums")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    smiles = read_smiles(chosen.table, chosen.smiles_column)
    test, train = smiles[: chosen.test], smiles[chosen.test : chosen.test + chosen.train]
    true = [true_contributions(each) for each in test]
    sums = np.array([true_contributions(each).sum() for each in train])
    records = [convert_molecule(each, 0, ConversionConfig(None, source_coords=False)) for each in test]
    assert all(isinstance(record, MoleculeRecord) for record in records)
    options: dict[str, object] = {
        "epochs": chosen.epochs,
        "validation_fraction": 0.1,
        "patience": chosen.epochs,
    }
    # Nothing can be learned of them, so no epoch is the best.
    none_held = options | {"epochs": chosen.shuffled_epochs, "validation_fraction": 0.0}
    shuffled = np.random.default_rng(1).permutation(sums)
    models = {"crippen": (sums, options), "shuffled": (shuffled, none_held)}
    rows = []
    for name, (labels, how) in models.items():
        began = time.process_time()
        predictor = fitted(chosen.out / f"{name}.pt", train, labels, how)
        print(f"{name}: {time.process_time() - began:.0f} processor seconds to fit", flush=True)
        predicted = np.array(list(predictor.predict_records(records)))[:, 0]
        wanted = np.array([each.sum() for each in true])
        rmse = np.sqrt(np.mean((predicted - wanted) ** 2))
        print(f"{name}: RMSE {rmse:.3f}, Pearson {pearson(predicted, wanted):.3f} on {len(test)} molecules")
        for row in explained(name, predictor, records, true):
            rows.append(row)
            print(*row, sep=", ", flush=True)
    with (chosen.out / "scores.csv").open("w", newline="", encoding="utf-8") as stream:
        header = ["labels", "method", "molecules", "pooled", "mean", "median"]
        header += ["seconds_per_molecule", "most_steps"]
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main()
