#!/usr/bin/env bash
# Pretrains moleblend_tiny without any held-out molecule, then compares on eleven MoleculeNet sets and on QM9's gap:
# run.sh PATH_TO_DATA. See README.md beside it.
set -euo pipefail

DATA=${1:-}
if [ ! -d "$DATA/moleculenet" ]; then
  echo "error: '$DATA' has no folder moleculenet; give the folder of the sets: make example-moleculenet DATA=path" >&2
  exit 2
fi
DATA=$(realpath "$DATA")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

OUT=runs/moleculenet
FIRST_UPDATES=${FIRST_UPDATES:-8000}
UPDATES=${UPDATES:-16000}

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "1/4  molecules to pretrain on, 3D for a quarter of them, and their descriptors (about half an hour on 2 cores)"
if [ ! -f "$OUT/store/train.lmdb" ]; then
  run python -m pip download --quiet --no-deps molsets==0.3.1 --dest "$OUT/moses"
  run python examples/20_moleculenet/prepare.py "$DATA" "$OUT/molecules" --moses "$OUT"/moses/molsets-0.3.1-*.whl
  run moleblend build "$OUT/molecules/with_3d.csv" --out "$OUT/with_3d" --conformers 1 --timeout 5 --overwrite
  run moleblend build "$OUT/with_3d/train.lmdb" "$OUT/molecules/flat.csv" "$OUT/molecules/qm9.npz" \
    --out "$OUT/store" --conformers none --descriptors --split random --split-sizes 0.98,0.02,0
fi

step "2/4  pretrain on relations and descriptors, then again from there (two hours of one core)"
run unicore-train "$OUT/store" --user-dir moleblend_plugin \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --optimizer adam --lr 1e-3 --lr-scheduler polynomial_decay --warmup-updates 300 \
  --total-num-update "$FIRST_UPDATES" --max-update "$FIRST_UPDATES" --batch-size 32 --clip-norm 5 --seed 1 --num-workers 0 \
  --attention-dropout 0 --activation-dropout 0 --whole-share 0.4 \
  --log-interval 100 --validate-interval-updates 2000 --save-interval-updates 500 --keep-interval-updates 1 \
  --keep-last-epochs 1 --save-dir "$OUT/first" --tmp-save-dir "$OUT/tmp-first"
run unicore-train "$OUT/store" --user-dir moleblend_plugin \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --optimizer adam --lr 8e-4 --lr-scheduler polynomial_decay --warmup-updates 300 \
  --total-num-update "$UPDATES" --max-update "$UPDATES" --batch-size 32 --clip-norm 10 --seed 2 --num-workers 0 \
  --attention-dropout 0 --activation-dropout 0 --whole-share 0.5 --descriptor-weight 10 \
  --log-interval 100 --validate-interval-updates 2000 --save-interval-updates 500 --keep-interval-updates 1 \
  --keep-last-epochs 1 --save-dir "$OUT/second" --tmp-save-dir "$OUT/tmp-second" \
  --finetune-from-model "$OUT/first/checkpoint_last.pt"

step "3/4  eleven MoleculeNet sets, three seeds"
PRETRAINED=$OUT/second/checkpoint_last.pt
STARTS=()
for NAME in ours-pretrained ours-ensemble ours-stack ours-frozen-{ridge,rf,knn,descriptors-rf}; do
  STARTS+=(--checkpoint "$NAME=$PRETRAINED")
done
run moleblend bench examples/20_moleculenet/moleculenet.toml --data "$DATA" --out "$OUT/bench" "${STARTS[@]}"

step "4/4  the gap of 12,000 QM9 molecules: what 3D adds"
run moleblend bench examples/20_moleculenet/qm9_gap.toml --data "$DATA" --out "$OUT/qm9" \
  --checkpoint "ours-3d=$PRETRAINED" --checkpoint "ours-2d=$PRETRAINED"
