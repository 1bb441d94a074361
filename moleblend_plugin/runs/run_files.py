"""Names of the files in a run's folder, ``--save-dir``."""

LAST_CHECKPOINT = "checkpoint_last.pt"
BEST_CHECKPOINT = "checkpoint_best.pt"
RUN_RECORD = "run.json"
EVENT_LOG = "train.jsonl"
"""Log of the embedded trainer: one JSON object per event."""
BAD_UPDATE_LOG = "bad_updates.jsonl"
