#!/usr/bin/env bash
# Murcko scaffolds of ferrocenes and of cationic dyes: the metal is lost, and the SMILES is a radical or cannot be read back.
#
# RDKit's scaffold keeps rings, linkers and atoms at double bonds. A metallocene written as ions, as in PubChem and HIV, loses its
# metal (no ring bond), so ferrocene, nickelocene and cobaltocene get one scaffold. A substituted ring loses its
# substituent but gains no hydrogen: methylferrocene gives [c-]1cccc1, which RDKit itself refuses to read
# (Chem.MolFromSmiles gives None), and which is another scaffold than ferrocene's own. In the same way a dye's =N+(CH3)2
# becomes a bare [N+] with two unpaired electrons, where the NH2 dye gives [NH2+]. Scaffold splits compare these texts: one
# skeleton lands on both sides, and code that reads scaffolds back meets None. Among 26,805 molecules of BBBP, ClinTox,
# Tox21, ToxCast and HIV (its first 15,000 rows) 24 scaffolds cannot be read and 57 are new radicals.
#
# Seen with: rdkit 2026.9.1, Python 3.11.
# Output seen:
#   ferrocene        c1cc[cH-]c1.c1cc[cH-]c1                        read back: yes, unpaired electrons 0
#   nickelocene      c1cc[cH-]c1.c1cc[cH-]c1                        read back: yes, unpaired electrons 0
#   methylferrocene  [c-]1cccc1.c1cc[cH-]c1                         read back: no
#   crystal violet   [N+]=C1C=CC(=C(c2ccccc2)c2ccccc2)C=C1          read back: yes, unpaired electrons 2
#   its NH2 form     [NH2+]=C1C=CC(=C(c2ccccc2)c2ccccc2)C=C1        read back: yes, unpaired electrons 0
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

# name, SMILES, scaffold as seen, unpaired electrons of the scaffold or None where it cannot be read
CASES = (
    ("ferrocene", "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", "c1cc[cH-]c1.c1cc[cH-]c1", 0),
    ("nickelocene", "[Ni+2].c1cc[cH-]c1.c1cc[cH-]c1", "c1cc[cH-]c1.c1cc[cH-]c1", 0),
    ("methylferrocene", "C[c-]1cccc1.[Fe+2].c1cc[cH-]c1", "[c-]1cccc1.c1cc[cH-]c1", None),
    (
        "crystal violet",
        "CN(C)c1ccc(cc1)C(=C1C=CC(=[N+](C)C)C=C1)c1ccc(cc1)N(C)C",
        "[N+]=C1C=CC(=C(c2ccccc2)c2ccccc2)C=C1",
        2,
    ),
    (
        "its NH2 form",
        "Nc1ccc(cc1)C(=C1C=CC(=[NH2+])C=C1)c1ccc(cc1)N",
        "[NH2+]=C1C=CC(=C(c2ccccc2)c2ccccc2)C=C1",
        0,
    ),
)


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def unpaired(mol):
    return sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


rdBase.DisableLog("rdApp.*")
for name, smiles, seen, electrons in CASES:
    mol = Chem.MolFromSmiles(smiles)
    check(mol is not None and unpaired(mol) == 0, f"{name} is not read as a closed shell")
    scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=mol)
    again = Chem.MolFromSmiles(scaffold)
    told = "no" if again is None else f"yes, unpaired electrons {unpaired(again)}"
    print(f"{name:16} {scaffold:46} read back: {told}")
    check(scaffold == seen, f"the scaffold of {name} is {scaffold}")
    check((None if again is None else unpaired(again)) == electrons, f"reading the scaffold of {name}: {told}")
PY
