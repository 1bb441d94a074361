#!/usr/bin/env bash
# Pretrains moleblend_tiny on DFT geometries of QM9: run.sh PATH_TO_NPZ [COUNT]. See README.md beside it.
set -euo pipefail

QM9=${1:-}
COUNT=${2:-}
if [ ! -f "$QM9" ]; then
  echo "error: '$QM9' is not a file; give the path of qm9_geometry_128k.npz: make example-qm9 QM9=path" >&2
  exit 2
fi
QM9=$(realpath "$QM9")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

OUT=runs/qm9_${COUNT:-all}
UPDATES=${UPDATES:-4000}
THREADS=$(getconf _NPROCESSORS_ONLN)

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "1/4  ${COUNT:-all} molecules with their DFT geometry"
rm -rf "$OUT" # an example starts from nothing; a run that finds a checkpoint would continue it
mkdir -p "$OUT"
if [ -n "$COUNT" ]; then
  run python examples/10_pretrain_qm9/take.py "$QM9" "$COUNT" "$OUT/qm9.npz"
  QM9=$OUT/qm9.npz
fi

step "2/4  build a store, split 8:1:1; the geometry of the file is kept, so no conformers are made"
run moleblend build "$QM9" --out "$OUT/store" --conformers none --split random --workers "$THREADS"

step "3/4  pretrain for $UPDATES updates"
OMP_NUM_THREADS=$THREADS run unicore-train "$OUT/store" --user-dir moleblend_plugin \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --optimizer adam --lr 1e-3 --lr-scheduler polynomial_decay --warmup-updates 200 \
  --total-num-update "$UPDATES" --max-update "$UPDATES" --batch-size 64 --clip-norm 5 --seed 1 --num-workers 1 \
  --log-interval 50 --validate-interval-updates 500 --save-interval-updates 500 --keep-interval-updates 1 \
  --keep-last-epochs 1 \
  --save-dir "$OUT/run" --tmp-save-dir "$OUT/tmp"

step "4/4  draw the curves"
run moleblend curves "$OUT/run" --out "$OUT"
