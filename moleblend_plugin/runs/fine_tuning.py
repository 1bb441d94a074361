"""How fine-tuning is optimised, for estimators and benchmark recipes alike."""

from __future__ import annotations


def optimizer_flags(lr: str, warmup_ratio: str, weight_decay: str = "0") -> list[str]:
    """Adam with the decays, epsilon and clipping of Uni-Mol's fine-tuning, warm-up and linear decay.

    Args:
        lr: highest learning rate.
        warmup_ratio: share of the updates in which the rate rises.
        weight_decay: decoupled.
    """
    return [
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.99)", "--adam-eps", "1e-6"),
        *("--lr", lr, "--weight-decay", weight_decay, "--clip-norm", "1.0"),
        *("--lr-scheduler", "polynomial_decay", "--warmup-ratio", warmup_ratio),
    ]
