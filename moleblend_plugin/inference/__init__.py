"""From a checkpoint to numbers: predictions and embeddings of streams of molecules."""
