#!/usr/bin/env bash
# One training on several nodes with torchrun: the same command on every node. See README.md beside it.
#   bash run_torchrun.sh NODE_RANK FIRST_NODE DATA SAVE_DIR [more options of moleblend-train]
# NODES (2), PROCESSES per node (1) and PORT (29500) may be set.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: bash $0 NODE_RANK FIRST_NODE DATA SAVE_DIR [options]" >&2; exit 2; }
node_rank=$1 first_node=$2 data=$3 save_dir=$4
shift 4

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes "${NODES:-2}" --node_rank "$node_rank" --nproc_per_node "${PROCESSES:-1}" \
  --master_addr "$first_node" --master_port "${PORT:-29500}" --rdzv_conf timeout=300 \
  -m moleblend_plugin.trainer.main "$data" --save-dir "$save_dir" \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --batch-size 32 --lr 1e-3 --clip-norm 5 --max-epoch 10 --save-interval-updates 1000 "$@"
