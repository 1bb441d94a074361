"""The command line: two passes, plugin options, and one clear line for every mistake."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.command.options import parse_options
from moleblend_plugin.trainer.contract import registry
from tests.trainer.conftest import CHOICES, TOY

ENOUGH = ["40", *CHOICES, "--batch-size", "4", "--max-update", "5"]


def parse(*words: Path | float | str, base: list[str] = ENOUGH) -> argparse.Namespace:
    return parse_options([*base, *(str(word) for word in words)])


def test_defaults_are_uni_cores() -> None:
    args = parse()
    expected = {
        "seed": 1,
        "lr": [0.25],
        "update_freq": [1],
        "clip_norm": 0,
        "max_epoch": 0,
        "num_workers": 1,
        "data_buffer_size": 10,
        "required_batch_size_multiple": 1,
        "train_subset": "train",
        "valid_subset": "valid",
        "curriculum": 0,
        "adam_betas": "(0.9, 0.999)",
        "adam_eps": 1e-8,
        "weight_decay": 0.0,
        "ema_decay": -1.0,
        "optimizer": "adam",
        "lr_scheduler": "fixed",
        "warmup_updates": 0,
        "lr_shrink": 0.1,
        "force_anneal": None,
        "validate_interval": 1,
        "validate_interval_updates": 0,
        "save_interval": 1,
        "save_interval_updates": 0,
        "keep_interval_updates": -1,
        "keep_last_epochs": -1,
        "keep_best_checkpoints": -1,
        "patience": -1,
        "best_checkpoint_metric": "loss",
        "save_dir": "checkpoints",
        "restore_file": "checkpoint_last.pt",
        "log_interval": 1000,
        "log_format": None,
        "fp16_init_scale": 128,
        "min_loss_scale": 1e-4,
        "fixed_validation_seed": None,
        "max_valid_steps": None,
        "stop_time_hours": 0,
        "stop_min_lr": -1,
        "ddp_backend": "c10d",
        "distributed_backend": "nccl",
        "bucket_cap_mb": 25,
        "optimizer_overrides": "{}",
    }
    assert {name: getattr(args, name) for name in expected} == expected
    assert args.batch_size_valid == args.batch_size == 4


def test_architecture_completes_what_the_command_leaves_out() -> None:
    assert parse().toy_width == 8
    assert parse("--toy-width", 3).toy_width == 3
    assert parse("--toy-width", 3).toy_dropout == 0.0


def test_task_and_loss_options_and_the_data_path_are_there() -> None:
    args = parse("--toy-scale", 2.5, "--toy-reorder")
    assert (args.data, args.toy_scale, args.toy_reorder) == ("40", 2.5, True)


def test_schedule_options_belong_to_the_chosen_schedule() -> None:
    args = parse("--lr-scheduler", "polynomial_decay", "--warmup-ratio", 0.1)
    assert (args.total_num_update, args.end_learning_rate, args.power) == (1000000, 0.0, 1.0)
    with pytest.raises(MoleblendError, match="--warmup-ratio is an unknown option"):
        parse("--warmup-ratio", 0.1)


@pytest.mark.parametrize(
    ("text", "rates"), [("1e-3", [1e-3]), ("1e-3,1e-4", [1e-3, 1e-4]), ("[0.5, 0.25]", [0.5, 0.25])]
)
def test_lists_of_numbers(text: str, rates: list[float]) -> None:
    assert parse("--lr", text).lr == rates


def test_aliases() -> None:
    args = parse("--max-sentences", 6, "--mu", 7, "--me", 2, "--learning-rate", 0.5, "--wd", 0.1)
    assert (args.batch_size, args.max_update, args.max_epoch, args.lr, args.weight_decay) == (
        6,
        7,
        2,
        [0.5],
        0.1,
    )


def test_nothing_typed_is_ever_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    attack = f"__import__('pathlib').Path('{mark}').touch()"
    for flag in ("--lr", "--update-freq", "--adam-betas", "--optimizer-overrides"):
        with pytest.raises(MoleblendError, match=flag):
            parse(flag, attack)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--toy-widht", 3], r"--toy-widht is an unknown option \(did you mean --toy-width\?\)"),
        (["--max-updates", 3], r"--max-updates is an unknown option \(did you mean --max-update\?\)"),
        (["stray"], "'stray' belongs to no flag"),
        (["--log-format", "xml"], "--log-format 'xml' is unknown.*none, json, simple, tqdm"),
        (["--lr-scheduler", "cosin"], r"--lr-scheduler 'cosin' is unknown \(did you mean cosine\?\)"),
        (["--batch-size", "many"], "--batch-size.*'many'"),
        (["--batch-size", 0], "--batch-size 0 is too small: give 1 or more"),
        (["--max-update", 0], "no end: give --max-epoch or --max-update"),
        (["--mu", 0, "--lr-scheduler", "polynomial_decay", "--warmup-ratio", 0.1], "the run has no end"),
        (["--update-freq", 0], r"--update-freq \[0\] is too small"),
        (["--update-freq", 1.5], "--update-freq.*'1.5' is not a list of whole numbers"),
        (["--lr", "-1"], "--lr.*'-1' holds a value below 0"),
        (["--lr", "fast"], "--lr.*'fast'"),
        (["--fp16", "--bf16"], "--fp16 and --bf16 exclude each other"),
        (["--fp16", "--cpu"], "--fp16 needs a GPU: use --bf16"),
        (["--adam-betas", "0.9"], r"--adam-betas '0.9' must be two numbers"),
        (["--adam-betas", "(0.9, 1.0)"], r"--adam-betas '\(0.9, 1.0\)' must be two numbers"),
        (["--lr-scheduler", "cosine", "--min-lr", 1], "--min-lr 1.0 must be below --lr 0.25"),
        (["--lr-scheduler", "cosine", "--lr", "1,2"], "takes one rate"),
        (["--lr-scheduler", "inverse_sqrt", "--warmup-updates", 0], "--warmup-updates 0 is impossible"),
        (["--lr-scheduler", "polynomial_decay", "--warmup-ratio", 1.5], "--warmup-ratio 1.5 must be below 1"),
        (["--lr-scheduler", "polynomial_decay", "--warmup-updates", 9, "--total-num-update", 5], "is below"),
        (["--validate-with-ema"], "--validate-with-ema needs a moving average"),
        (["--ema-decay", 1], "--ema-decay 1.0 must be below 1"),
        (["--patience", 2, "--disable-validation"], "--patience needs validation"),
        (["--valid-subset", "valid,"], "holds an empty name"),
        (["--finetune-from-model", "nothing.pt"], "--finetune-from-model 'nothing.pt' is not a file"),
        (["--finetune-from-model", "a.pt", "--restore-file", "b.pt"], "exclude each other"),
        (["--finetune-from-model", "a.pt", "--reset-optimizer"], "--reset-optimizer is implied"),
        (["--load-from-ema"], "--load-from-ema needs a checkpoint"),
        (["--optimizer-overrides", "[1]"], "must be a dictionary"),
        (["--num-workers", -1], "--num-workers -1 is too small: give 0 or more"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_a_remedy(words: list[float | str], message: str) -> None:
    with pytest.raises(MoleblendError, match=message) as caught:
        parse(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "value", "near"),
    [("--arch", "toy_smal", "toy_small"), ("--task", "toyy", "toy"), ("--loss", "toy_mae", "toy_mse")],
)
def test_unknown_choices_list_the_valid_ones(flag: str, value: str, near: str) -> None:
    with pytest.raises(
        MoleblendError, match=rf"{flag} '{value}' is unknown.*did you mean {near}.*choose from"
    ):
        parse(flag, value)


@pytest.mark.parametrize("flag", ["--task", "--arch", "--loss"])
def test_missing_choices_list_the_valid_ones(flag: str) -> None:
    base = list(ENOUGH)
    place = base.index(flag)
    del base[place : place + 2]
    with pytest.raises(MoleblendError, match=f"{flag} is missing: choose from .*toy"):
        parse(base=base)


def test_missing_batch_size_and_data() -> None:
    with pytest.raises(MoleblendError, match="--batch-size is missing"):
        parse_options(["40", *CHOICES, "--max-update", "5"])
    with pytest.raises(MoleblendError, match="required: data"):
        parse_options([*CHOICES, "--batch-size", "4", "--max-update", "5"])


def test_an_option_declared_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    parse()  # imports the plugin, which registers the loss
    monkeypatch.setattr(
        registry.LOSSES["toy_mse"], "add_args", classmethod(lambda cls, parser: parser.add_argument("--lr"))
    )
    with pytest.raises(MoleblendError, match="loss 'toy_mse' declares an option that is already there.*--lr"):
        parse()


def test_help_shows_the_options_of_what_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parse("--help")
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in ("--toy-width", "--toy-scale", "--toy-reorder", "--adam-eps", "--fa"))
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    assert "--task" in capsys.readouterr().out


def test_user_dir_must_be_a_package_of_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="is not a folder"):
        parse("--user-dir", tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    with pytest.raises(MoleblendError, match="has no __init__.py"):
        parse("--user-dir", tmp_path / "plain")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").touch()
    with pytest.raises(MoleblendError, match="another module 'json' is loaded already.*rename"):
        parse("--user-dir", tmp_path / "json")


@pytest.mark.parametrize(
    "name", ["moleblend_plugin", "moleblend_plugin/", str(TOY.parents[2] / "moleblend_plugin")]
)
def test_this_package_as_user_dir_adds_nothing(name: str) -> None:
    assert parse("--user-dir", name).user_dir == name


def test_a_users_own_plugin_can_extend_this_one(tmp_path: Path) -> None:
    folder = tmp_path / "my_extension"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from moleblend_plugin.host import BaseLoss, register_loss\n"
        "@register_loss('my_extension_loss')\n"
        "class MyExtensionLoss(BaseLoss):\n    pass\n"
    )
    parse("--user-dir", folder)
    assert "my_extension_loss" in registry.LOSSES
    assert "moleblend_pretrain" in registry.TASKS


def test_registering_mistakes_are_named() -> None:
    with pytest.raises(MoleblendError, match="task 'toy' is already registered by ToyTask"):
        registry.register_task("toy")(registry.TASKS["toy"])
    with pytest.raises(MoleblendError, match="class int must extend BaseLoss"):
        registry.register_loss("number")(int)
    with pytest.raises(MoleblendError, match="another loss class is called ToyLoss"):
        registry.register_loss("second")(registry.LOSSES["toy_mse"])
    with pytest.raises(MoleblendError, match="there is no model 'toy_cnn'"):
        registry.register_model_architecture("toy_cnn", "tiny")(lambda args: None)
    with pytest.raises(MoleblendError, match="architecture 'toy_small' is already registered"):
        registry.register_model_architecture("toy_mlp", "toy_small")(lambda args: None)


def test_the_trainer_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["moleblend-train", "--seed", "many"])
    with pytest.raises(SystemExit) as leaving:
        runpy.run_module("moleblend_plugin.trainer", run_name="__main__")
    assert leaving.value.code == 2
    assert capsys.readouterr().err == "error: --seed: invalid int value: 'many'\n"
