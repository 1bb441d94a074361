"""Structure-aware pretraining: task, loss, models and report."""
