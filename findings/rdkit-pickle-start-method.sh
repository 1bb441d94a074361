#!/usr/bin/env bash
# SetDefaultPickleProperties holds for workers under fork only: under forkserver and spawn a molecule loses its name and data.
#
# RDKit leaves all properties out of a pickle unless told otherwise, and the usual remedy is one line in the main program:
# Chem.SetDefaultPickleProperties(Chem.PropertyPickleOptions.AllProps). The setting lives in the process. A worker that was forked
# inherits it; one started by forkserver (Python's default on Linux from 3.14 on) or by spawn (macOS, Windows) does
# not, so what it *returns* has no _Name, no data items, no atom tags and no energies at its conformers, while
# what it was *sent* has them. Nothing is said. Called as a Pool initializer the line works everywhere.
# AllProps is not all either: coordinates come back rounded to float32, since CoordsAsDouble is not part of it.
#
# Seen with: rdkit 2026.9.1, Python 3.11.
# Output seen:
#   fork        sent: name, data, atom tag, energy   returned: name, data, atom tag, energy
#   forkserver  sent: name, data, atom tag, energy   returned: nothing
#   spawn       sent: name, data, atom tag, energy   returned: nothing
#   forkserver with the setting as initializer   returned: name, data, atom tag, energy
#   spawn with the setting as initializer   returned: name, data, atom tag, energy
#   coordinates of a pickle under AllProps: exact False; with CoordsAsDouble: exact True
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
cat > "$work/main.py" <<'PY'
import multiprocessing
import sys

from rdkit import Chem
from rdkit.Chem import rdDistGeom


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def keep_properties():
    Chem.SetDefaultPickleProperties(Chem.PropertyPickleOptions.AllProps)


def marked():
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", "ethanol")
    mol.SetProp("id", "7")
    mol.GetAtomWithIdx(0).SetIntProp("tag", 1)
    mol.GetConformer().SetDoubleProp("energy", 1.0)
    return mol


def properties(mol):
    has = {
        "name": mol.HasProp("_Name"),
        "data": mol.HasProp("id"),
        "atom tag": mol.GetAtomWithIdx(0).HasProp("tag"),
        "energy": mol.GetConformer().HasProp("energy"),
    }
    return ", ".join(name for name, there in has.items() if there) or "nothing"


def work(mol):
    return properties(mol), marked()


def through(method, initializer=None):
    with multiprocessing.get_context(method).Pool(1, initializer) as pool:
        sent, mol = pool.map(work, [marked()])[0]
    return sent, properties(mol)


if __name__ == "__main__":
    everything = "name, data, atom tag, energy"
    check(through("fork") == ("nothing", "nothing"), "properties are pickled by default")
    keep_properties()
    for method, expected in (("fork", everything), ("forkserver", "nothing"), ("spawn", "nothing")):
        sent, returned = through(method)
        print(f"{method:11} sent: {sent}   returned: {returned}")
        check(sent == everything and returned == expected, f"{method} sends {sent} and returns {returned}")
    for method in ("forkserver", "spawn"):
        _, returned = through(method, keep_properties)
        print(f"{method} with the setting as initializer   returned: {returned}")
        check(returned == everything, f"{method} with an initializer returns {returned}")
    options = Chem.PropertyPickleOptions
    mol = marked()
    exact = [
        bool((Chem.Mol(mol.ToBinary(int(flags))).GetConformer().GetPositions() == mol.GetConformer().GetPositions()).all())
        for flags in (options.AllProps, options.AllProps | options.CoordsAsDouble)
    ]
    print(f"coordinates of a pickle under AllProps: exact {exact[0]}; with CoordsAsDouble: exact {exact[1]}")
    check(exact == [False, True], "rounding of coordinates")
PY
"$work/venv/bin/python" "$work/main.py"
