#!/usr/bin/env bash
# The same with restarts by torchrun: after a killed process, all start again from the last checkpoint.
#   bash run_elastic.sh OWN_ADDRESS FIRST_NODE DATA SAVE_DIR [more options of moleblend-train]
# NODES (1:2: at least one, at most two), PROCESSES per node (1), PORT (29500) and RESTARTS (3) may be set.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: bash $0 OWN_ADDRESS FIRST_NODE DATA SAVE_DIR [options]" >&2; exit 2; }
own_address=$1 first_node=$2 data=$3 save_dir=$4
shift 4

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes "${NODES:-1:2}" --nproc_per_node "${PROCESSES:-1}" --max_restarts "${RESTARTS:-3}" \
  --rdzv_backend c10d --rdzv_endpoint "$first_node:${PORT:-29500}" --rdzv_id moleblend --local_addr "$own_address" \
  -m moleblend_plugin.trainer.main "$data" --save-dir "$save_dir" \
  --task moleblend_pretrain --arch moleblend_tiny --loss moleblend_pretrain \
  --batch-size 32 --lr 1e-3 --clip-norm 5 --max-epoch 10 --save-interval-updates 1000 "$@"
