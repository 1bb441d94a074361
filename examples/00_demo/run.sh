#!/usr/bin/env bash
# From 2,000 SMILES to a pretrained model, its curves and a property; `make demo` runs this. See README.md beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

OUT=runs/demo
MOLECULES=2000

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "1/5  $MOLECULES molecules of the NCI set that comes with RDKit"
rm -rf "$OUT" # a demo starts from nothing; a run that finds a checkpoint would continue it
mkdir -p "$OUT"
nci=$(python -c 'from rdkit import RDConfig; print(RDConfig.RDDataDir)')/NCI/first_5K.smi
printf '$ head -n %s %s > %s\n' "$MOLECULES" "$nci" "$OUT/molecules.smi"
head -n "$MOLECULES" "$nci" >"$OUT/molecules.smi"
head -n 3 "$OUT/molecules.smi"

step "2/5  build a store: codes, bonds and one 3D conformer per molecule, split 8:1:1"
run moleblend build "$OUT/molecules.smi" --out "$OUT/store" --conformers 1 --split random --workers 2

step "3/5  pretrain: every loss term should fall"
run env OMP_NUM_THREADS=2 unicore-train "$OUT/store" --user-dir moleblend_plugin \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --optimizer adam --lr 1e-3 --lr-scheduler polynomial_decay --warmup-updates 40 --total-num-update 500 \
  --max-update 500 --batch-size 32 --clip-norm 5 --seed 1 --num-workers 1 \
  --log-interval 10 --validate-interval 2 --save-interval 2 --keep-last-epochs 1 \
  --save-dir "$OUT/run" --tmp-save-dir "$OUT/tmp"

step "4/5  draw the curves"
run moleblend curves "$OUT/run" --out "$OUT"

step "5/5  fine-tune on FreeSolv, three seeds beside a fingerprint baseline: free energy of hydration, kcal/mol"
run moleblend bench examples/00_demo/freesolv.toml --out "$OUT/freesolv" \
  --checkpoint "pretrained=$OUT/run/checkpoint_last.pt"
printf '\nopen %s and %s\n' "$OUT/curves.html" "$OUT/freesolv/report.html"
