"""Flags of the trainer itself: Uni-Core's names, aliases and defaults, in Uni-Core's groups."""

from __future__ import annotations

from argparse import ArgumentParser, _ArgumentGroup

import torch

from moleblend_plugin.trainer.command.parse_values import number_list

NO_EFFECT = "accepted for Uni-Core's sake, without effect here"

LOG_FORMATS = ["none", "json", "simple", "tqdm"]


def add_trainer_flags(parser: ArgumentParser) -> None:
    """Declare every flag that belongs to no task, model, loss, optimiser or schedule."""
    _general(parser.add_argument_group("general"))
    _data(parser.add_argument_group("data"))
    _optimisation(parser.add_argument_group("optimisation and length of the run"))
    _validation(parser.add_argument_group("validation"))
    _checkpoints(parser.add_argument_group("checkpoints"))
    _restart(parser.add_argument_group("restart and fine-tuning"))
    _distributed(parser.add_argument_group("processes and devices"))


def _switch(group: _ArgumentGroup, flag: str, text: str) -> None:
    group.add_argument(flag, action="store_true", help=text)


def _whole(group: _ArgumentGroup, flags: str, default: int | None, text: str) -> None:
    group.add_argument(
        *flags.split(), type=int, default=default, metavar="N", help=f"{text} (default: {default})"
    )


def _unset(group: _ArgumentGroup, flag: str, text: str) -> None:
    group.add_argument(flag, type=int, metavar="N", help=text)


def _general(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--user-dir", metavar="DIR", help="folder of a plugin to import; this plugin is always there"
    )
    _whole(group, "--seed", 1, "seed of everything random")
    _whole(group, "--log-interval", 1000, "updates between two log lines")
    group.add_argument(
        "--log-format", choices=LOG_FORMATS, help="log lines (default: tqdm, a live line, or simple)"
    )
    _switch(group, "--no-progress-bar", "no live line")
    group.add_argument(
        "--tensorboard-logdir", metavar="DIR", default="", help="write TensorBoard files there"
    )
    _switch(group, "--cpu", "use the CPU even where a GPU is there")
    _switch(group, "--fp16", "mixed precision with float16 (GPU)")
    _switch(group, "--bf16", "mixed precision with bfloat16")
    _switch(group, "--compile", "torch.compile the network: a minute at first, then quicker steps (GPU)")
    group.add_argument("--fp16-init-scale", type=float, default=128, help="first loss scale of --fp16")
    _whole(group, "--fp16-scale-window", None, "updates without overflow before the loss scale doubles")
    group.add_argument(
        "--min-loss-scale", type=float, default=1e-4, help="smallest loss scale before giving up"
    )
    group.add_argument("--ema-decay", type=float, default=-1.0, help="keep a moving average of the weights")
    _switch(group, "--validate-with-ema", "validate the moving average instead of the weights")
    for flag in (
        "--fp16-scale-tolerance",
        "--threshold-loss-scale",
        "--empty-cache-freq",
        "--all-gather-list-size",
    ):
        group.add_argument(flag, type=float, default=None, help=NO_EFFECT)
    _switch(group, "--allreduce-fp32-grad", NO_EFFECT + " (gradients are always fp32)")


def _data(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--batch-size", "--max-sentences", type=int, metavar="N", help="samples per batch (needed)"
    )
    _whole(group, "--batch-size-valid", None, "samples per batch in validation; as --batch-size")
    _whole(group, "--required-batch-size-multiple", 1, "round the batch size up to a multiple of N")
    _whole(group, "--num-workers", 1, "processes that read data; samples do not depend on it")
    _whole(group, "--data-buffer-size", 10, "batches to keep ready")
    group.add_argument("--train-subset", default="train", metavar="SPLIT", help="split to train on")
    group.add_argument(
        "--valid-subset", default="valid", metavar="SPLITS", help="splits to validate on: valid,test"
    )
    _whole(group, "--curriculum", 0, "do not shuffle batches in the first N epochs")
    _switch(group, "--skip-invalid-size-inputs-valid-test", NO_EFFECT)


def _optimisation(group: _ArgumentGroup) -> None:
    _whole(group, "--max-epoch --me", 0, "stop after N epochs; 0: no limit")
    _whole(group, "--max-update --mu", 0, "stop after N updates; 0: no limit")
    group.add_argument(
        "--stop-time-hours", type=float, default=0, metavar="H", help="stop after H hours; 0: no limit"
    )
    group.add_argument(
        "--stop-min-lr", type=float, default=-1, metavar="LR", help="stop at this learning rate"
    )
    rates = number_list(float, "learning rates")
    group.add_argument(
        "--lr", "--learning-rate", type=rates, default=[0.25], help="rate, or one per epoch: 1e-4,5e-5"
    )
    counts = number_list(int, "whole numbers")
    group.add_argument(
        "--update-freq", type=counts, default=[1], help="batches per update, or one per epoch: 4,8"
    )
    group.add_argument(
        "--clip-norm", type=float, default=0, metavar="NORM", help="largest gradient norm; 0: no limit"
    )
    _whole(group, "--max-bad-updates", 10, "stop after N updates in a row with NaN; 0: at the first")
    group.add_argument(
        "--no-weight-decay-names", default="", metavar="PARTS", help="name parts not to decay: a,b"
    )


def _validation(group: _ArgumentGroup) -> None:
    _switch(group, "--disable-validation", "never validate")
    _whole(group, "--validate-interval", 1, "validate every N epochs")
    _whole(group, "--validate-interval-updates", 0, "also validate every N updates")
    _whole(group, "--validate-after-updates", 0, "do not validate before N updates")
    _whole(group, "--max-valid-steps", None, "validate on N batches only")
    _whole(group, "--fixed-validation-seed", None, "seed of every validation")
    group.add_argument(
        "--best-checkpoint-metric", default="loss", metavar="NAME", help="metric of the best checkpoint"
    )
    _switch(group, "--maximize-best-checkpoint-metric", "larger is better")
    _whole(group, "--patience", -1, "stop after N validations without a better metric")


def _checkpoints(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--save-dir", default="checkpoints", metavar="DIR", help="folder of checkpoints and log"
    )
    group.add_argument(
        "--tmp-save-dir", default="./", metavar="DIR", help=NO_EFFECT + " (files appear in one step)"
    )
    _unset(group, "--save-interval", "save every N epochs (default: 1; given, epochs are kept)")
    _whole(group, "--save-interval-updates", 0, "also save, and validate, every N updates")
    _whole(group, "--keep-interval-updates", -1, "keep the last N of those")
    _unset(
        group, "--keep-last-epochs", "keep the last N of epochs, -1: all (default: all; fine-tuning: none)"
    )
    _whole(group, "--keep-best-checkpoints", -1, "keep the N best, by metric")
    _switch(group, "--no-save", "save nothing")
    _switch(group, "--no-epoch-checkpoints", "save only the last and the best (fine-tuning: the default)")
    _switch(group, "--no-last-checkpoints", "do not save checkpoint_last.pt")
    _switch(group, "--no-save-optimizer-state", "save weights only")


def _restart(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--restore-file", default="checkpoint_last.pt", metavar="FILE", help="checkpoint to go on from"
    )
    group.add_argument("--finetune-from-model", metavar="FILE", help="checkpoint whose weights to start from")
    _switch(group, "--load-from-ema", "take the moving average of that checkpoint")
    _switch(group, "--reset-optimizer", "do not restore the optimiser")
    _switch(group, "--reset-lr-scheduler", "do not restore the schedule's state")
    _switch(group, "--reset-meters", "do not restore averages, best metric and patience")
    _switch(group, "--reset-dataloader", "start the data from the first epoch")
    group.add_argument(
        "--optimizer-overrides", default="{}", metavar="DICT", help="values that win over the file's"
    )


def _distributed(group: _ArgumentGroup) -> None:
    _whole(group, "--distributed-world-size", max(1, torch.cuda.device_count()), "processes in all")
    group.add_argument(
        "--distributed-backend", default="nccl", metavar="NAME", help="nccl on GPUs; CPUs take gloo"
    )
    group.add_argument(
        "--ddp-backend",
        default="c10d",
        choices=["c10d", "no_c10d", "fsdp"],
        help="c10d and no_c10d: torch's DDP; fsdp: each process holds a part of the weights (torchrun, srun)",
    )
    group.add_argument(
        "--distributed-timeout-minutes",
        type=float,
        default=10,
        metavar="M",
        help="end the run where processes wait so long for each other, also for one that saves (default: 10)",
    )
    group.add_argument(
        "--heartbeat-timeout",
        type=float,
        default=45,
        metavar="S",
        help="several nodes: end the run where one gives no sign of life for S seconds; -1: never (45)",
    )
    _whole(group, "--bucket-cap-mb", 25, "size of the pieces in which gradients are exchanged")
    _switch(group, "--find-unused-parameters", "some parameters may get no gradient")
    for flag in (
        "--broadcast-buffers",
        "--distributed-no-spawn",
        "--fix-batches-to-gpus",
        "--fast-stat-sync",
    ):
        _switch(group, flag, NO_EFFECT)
