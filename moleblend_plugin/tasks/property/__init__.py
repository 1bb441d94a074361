"""Fine-tuning on properties: task, losses and models."""
