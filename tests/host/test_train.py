"""Whole training commands on the toy plugin."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from moleblend_plugin.host import detect
from moleblend_plugin.host.embedded import engine
from moleblend_plugin.host.embedded.ema import MovingAverage
from tests.host.same import assert_same


def weights(run, name="checkpoint_last.pt"):
    return run.state(name)["model"]


def losses(run):
    return [event["loss"] for event in run.events("train_inner")]


def test_training_lowers_the_loss_and_reports_it(train):
    run = train("--max-epoch", 20, "--lr", 3e-2)
    assert run.code == 0
    assert len(losses(run)) == 200
    assert np.mean(losses(run)[-10:]) < 0.2 * np.mean(losses(run)[:10])
    valid = run.events("valid")
    assert [event["epoch"] for event in valid] == list(range(1, 21))
    assert set(valid[0]) >= {"subset", "loss", "abs", "rmse", "bsz", "num_updates", "best_loss"}
    assert valid[0]["rmse"] == pytest.approx(valid[0]["loss"] ** 0.5)
    assert valid[0]["bsz"] == 20
    assert all(
        isinstance(value, int | float) for key, value in valid[0].items() if key not in ("event", "subset")
    )


def test_log_lines_have_uni_cores_shape(train):
    run = train("--max-epoch", 1, "--log-interval", 5)
    assert "| INFO | train_inner | epoch 001:      5 / 10 loss=" in run.out
    assert "| INFO | valid | epoch 001 | valid on 'valid' subset | loss " in run.out
    assert "| INFO | train | epoch 001 | loss " in run.out
    assert len(run.events("train_inner")) == 2


def test_json_and_silent_formats(train):
    run = train("--max-epoch", 1, "--log-format", "json", into="json")
    line = next(line for line in run.out.splitlines() if "| train_inner |" in line)
    assert json.loads(line.split(" | ")[3])["num_updates"] == "1"
    silent = train("--max-epoch", 1, "--log-format", "none", into="none")
    assert "| train |" not in silent.out
    assert len(losses(silent)) == 10


# 14 samples: 4 batches of 4, 4, 4 and 2 samples; groups of 2 or 3 of them leave uneven last groups.
@pytest.mark.parametrize(("size", "frequency"), [(4, 2), (2, 4)])
def test_an_update_is_the_mean_over_all_its_samples(train, size, frequency):
    plain = ("--max-epoch", 3, "--curriculum", 3, "--disable-validation")
    whole = train(*plain, "--batch-size", 8, data=14, into="whole")
    parts = train(*plain, "--batch-size", size, "--update-freq", frequency, data=14, into="parts")
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-5, atol=1e-6)


def test_scaling_the_loss_and_its_samples_apart_scales_gradients(train):
    one = train("--max-update", 1, into="one")
    two = train("--max-update", 1, "--toy-scale", 2, into="two")
    assert two.events("train_inner")[0]["gnorm"] == pytest.approx(2 * one.events("train_inner")[0]["gnorm"])


def test_update_frequency_per_epoch(train):
    run = train("--max-epoch", 3, "--update-freq", "1,5")
    assert [event["num_updates"] for event in run.events("train")] == [10, 12, 14]


def test_clipping_is_reported(train):
    run = train("--max-update", 3, "--clip-norm", 1e-3)
    assert [event["clip"] for event in run.events("train_inner")] == [100.0] * 3
    assert "clip" not in train("--max-update", 1, into="free").events("train_inner")[0]


def test_learning_rate_shown_is_the_next_ones(train):
    run = train("--max-update", 4, "--lr", 0.4, "--lr-scheduler", "polynomial_decay", "--warmup-updates", 2,
                "--total-num-update", 4)  # fmt: skip
    assert [event["lr"] for event in run.events("train_inner")] == pytest.approx([0.2, 0.4, 0.2, 0.0])


def test_first_update_has_rate_zero_with_polynomial_warmup(train):
    options = ("--lr-scheduler", "polynomial_decay", "--warmup-updates", 5, "--max-update")
    first = train(*options, 1, "--lr", 1e-2, into="a")
    other = train(*options, 1, "--lr", 0.5, into="b")
    assert_same(weights(first), weights(other))


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_do_not_depend_on_workers(train, workers):
    options = ("--max-epoch", 2, "--toy-dropout", 0.2, "--toy-reorder")
    assert_same(
        weights(train(*options, into="none")),
        weights(train(*options, "--num-workers", workers, into="some")),
    )


def test_dropout_follows_the_seed_only(train):
    options = ("--max-epoch", 1, "--toy-dropout", 0.5)
    torch.rand(3)
    first = train(*options, into="a")
    validated = train(*options, "--validate-interval-updates", 3, into="b")
    other = train(*options, "--seed", 2, into="c")
    assert_same(weights(first), weights(validated))
    assert losses(first) != losses(other)


# --- validation and checkpoints -----------------------------------------------------------------------


def test_every_subset_is_validated_and_the_first_selects(train):
    run = train("--max-epoch", 2, "--valid-subset", "valid,test", "--best-checkpoint-metric", "abs")
    events = run.events("valid")
    assert [event["subset"] for event in events] == ["valid", "test"] * 2
    assert "best_abs" in events[0]
    assert run.state()["extra_state"]["best"] == min(
        event["abs"] for event in events if event["subset"] == "valid"
    )


def test_best_checkpoint_is_the_best(train):
    run = train("--max-epoch", 6, "--lr", 0.3)
    by_epoch = {event["epoch"]: event["loss"] for event in run.events("valid")}
    best = min(by_epoch, key=by_epoch.get)
    assert best != 6
    assert_same(weights(run, "checkpoint_best.pt"), weights(run, f"checkpoint{best}.pt"))
    assert_same(weights(run), weights(run, "checkpoint6.pt"))


def test_larger_is_better_when_asked(train):
    run = train("--max-epoch", 4, "--maximize-best-checkpoint-metric", "--lr", 3e-2)
    assert_same(weights(run, "checkpoint_best.pt"), weights(run, "checkpoint1.pt"))


def test_unknown_metric_is_named_with_the_known_ones(train):
    run = train("--max-epoch", 2, "--best-checkpoint-metric", "auc")
    assert run.code == 2
    assert "--best-checkpoint-metric 'auc' is not logged on subset 'valid'" in run.err
    assert "choose from abs, loss, rmse" in run.err
    assert run.err.count("\n") == 1


def test_names_and_pruning_of_interval_checkpoints(train):
    run = train("--max-epoch", 2, "--save-interval-updates", 3, "--keep-interval-updates", 2)
    assert run.names() == [
        "checkpoint1.pt", "checkpoint2.pt", "checkpoint_2_15.pt", "checkpoint_2_18.pt",
        "checkpoint_best.pt", "checkpoint_last.pt",
    ]  # fmt: skip
    # Checkpoints within an epoch are validated.
    assert [event["num_updates"] for event in run.events("valid")] == [3, 6, 9, 10, 12, 15, 18, 20]


def test_keeping_the_last_epochs_and_the_best(train):
    run = train("--max-epoch", 5, "--keep-last-epochs", 2, "--keep-best-checkpoints", 2, "--lr", 0.3)
    kept = [name for name in run.names() if name.startswith("checkpoint.best_loss_")]
    best = sorted(event["loss"] for event in run.events("valid"))[:2]
    assert kept == [f"checkpoint.best_loss_{value:.5f}.pt" for value in best]
    assert [name for name in run.names() if name[10].isdigit()] == ["checkpoint4.pt", "checkpoint5.pt"]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--no-epoch-checkpoints"], ["checkpoint_best.pt", "checkpoint_last.pt"]),
        (["--no-last-checkpoints"], ["checkpoint1.pt", "checkpoint2.pt", "checkpoint_best.pt"]),
        (["--save-interval", 2, "--disable-validation"], ["checkpoint2.pt", "checkpoint_last.pt"]),
    ],
)
def test_which_checkpoints_are_written(train, flags, names):
    run = train("--max-epoch", 2, *flags)
    assert run.names() == names
    assert len(run.events("valid")) == (0 if "--disable-validation" in flags else 2)


def test_saving_nothing_leaves_no_folder(train):
    run = train("--max-epoch", 1, "--no-save")
    assert run.code == 0
    assert not run.folder.exists()


def test_validation_interval_delay_and_length(train):
    run = train("--max-update", 10, "--validate-interval-updates", 2, "--validate-after-updates", 5,
                "--max-valid-steps", 2)  # fmt: skip
    assert [(event["num_updates"], event["bsz"]) for event in run.events("valid")] == [
        (6, 8),
        (8, 8),
        (10, 8),
    ]


def test_stopping_by_rate_and_by_time(train):
    slow = train("--max-epoch", 9, "--lr", "0.1,0.01,0.001", "--stop-min-lr", 0.01, into="lr")
    assert [event["epoch"] for event in slow.events("train")] == [1, 2]
    timed = train("--max-epoch", 9, "--stop-time-hours", 1e-9, into="time")
    assert len(losses(timed)) == 1
    assert "--stop-time-hours" in timed.out


# --- moving average -------------------------------------------------------------------------------------


def test_moving_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    model.tied = model.weight
    nn.init.constant_(model.weight, 1.0)
    average = MovingAverage(model, 0.75)
    nn.init.constant_(model.weight, 5.0)
    average.update()
    with average.applied():
        assert model.weight.item() == 2.0
    assert model.weight.item() == 5.0
    params = average.state_dict()["params"]
    assert {name: value.item() for name, value in params.items()} == {"weight": 2.0, "tied": 2.0}
    other = MovingAverage(model, 0.5)
    other.load_state_dict(average.state_dict())
    assert other.average["weight"].item() == 2.0


def test_validation_with_the_average_is_that_of_the_averaged_weights(train, tmp_path):
    options = ("--max-update", 10, "--ema-decay", 0.8)
    averaged = train(*options, "--validate-with-ema", into="averaged")
    plain = train(*options, into="plain")
    assert_same(averaged.state()["ema"], plain.state()["ema"])
    assert_same(weights(averaged), weights(plain))
    # The same weights, taken as such: an update of rate 0 leaves them as they are.
    taken = train("--finetune-from-model", averaged.folder / "checkpoint_last.pt", "--load-from-ema",
                  "--max-update", 1, "--lr", 0, into="taken")  # fmt: skip
    assert_same(dict(weights(taken)), dict(averaged.state()["ema"]["params"]))
    assert taken.events("valid")[0]["loss"] == averaged.events("valid")[0]["loss"]
    assert averaged.events("valid")[0]["loss"] != plain.events("valid")[0]["loss"]


# --- fine-tuning ----------------------------------------------------------------------------------------


def test_finetuning_starts_afresh_from_the_weights(train):
    first = train("--max-epoch", 1, into="first")
    source = first.folder / "checkpoint_last.pt"
    tuned = train("--finetune-from-model", source, "--max-update", 1, "--lr", 0, into="tuned")
    assert_same(weights(first), weights(tuned))
    assert tuned.events("train_inner")[0]["num_updates"] == 1
    again = train("--finetune-from-model", source, "--max-update", 2, "--lr", 0, into="tuned")
    assert "was where this run began" in again.out


def test_finetuning_that_would_load_nothing_is_refused(train):
    first = train("--max-update", 1, into="first")
    path = first.folder / "checkpoint_last.pt"
    state = first.state()
    state["model"] = {f"body.{name}": value for name, value in state["model"].items()}
    torch.save(state, path)
    run = train("--finetune-from-model", path, "--max-update", 1, into="tuned")
    assert run.code == 2
    assert "no name in" in run.err
    assert "body.inside.weight" in run.err
    state["model"]["norm.weight"] = torch.full((8,), 3.0)
    torch.save(state, path)
    run = train("--finetune-from-model", path, "--max-update", 1, "--lr", 0, into="tuned")
    assert run.code == 0
    assert "5 of 6 weights keep their fresh values" in run.out
    assert weights(run)["norm.weight"][0] == 3.0


# --- what goes wrong ------------------------------------------------------------------------------------


def test_numbers_that_are_not_finite_end_the_run_with_the_modules_name(train):
    run = train("--max-epoch", 1, "--toy-nan-index", 13, "--curriculum", 1)
    assert run.code == 2
    assert "not finite at update 4, first in the output of inside (Linear)" in run.err
    assert run.err.count("\n") == 1


def test_gradients_that_overflow_name_the_parameter(train):
    run = train("--max-update", 1, "--toy-scale", 1e38)
    assert run.code == 2
    assert "not finite at update 1, first in the gradient of inside.weight" in run.err


def test_no_samples_are_named(train):
    run = train("--max-epoch", 1, data=0)
    assert run.code == 2
    assert "split 'train' holds no samples" in run.err


def test_folder_that_cannot_be_written(train, tmp_path):
    (tmp_path / "file").touch()
    run = train("--max-epoch", 1, "--save-dir", tmp_path / "file")
    assert run.code == 2
    assert run.err.startswith("error: --save-dir")


def test_damaged_checkpoint_is_named(train):
    run = train("--max-update", 2)
    path = run.folder / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:300])
    again = train("--max-update", 4)
    assert again.code == 2
    assert "checkpoint_last.pt' is damaged" in again.err


def test_interruption_has_its_own_code(train, monkeypatch):
    train("--max-update", 1, into="first")
    from toy_plugin import ToyLoss

    def interrupt(self, model, sample, reduce=True):
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyLoss, "forward", interrupt)
    run = train("--max-update", 1)
    assert run.code == 130
    assert run.err == "interrupted: go on with the same command from the last checkpoint\n"


def test_asking_for_the_other_host_is_refused(train, monkeypatch):
    monkeypatch.setenv("MOLEBLEND_HOST", "unicore")
    assert "MOLEBLEND_HOST=unicore contradicts" in train("--max-update", 1).err


def test_the_trainer_says_that_it_is_in_charge(train):
    train("--max-update", 1)
    assert detect.trainer_in_charge() == "embedded"


def test_tensorboard_files_and_its_absence(train, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    train("--max-epoch", 1, "--tensorboard-logdir", tmp_path / "board")
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == ["train", "train_inner", "valid"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = train("--max-epoch", 1, "--tensorboard-logdir", tmp_path / "none", into="other")
    assert run.code == 2
    assert "pip install tensorboard" in run.err


def test_bf16_trains_close_to_fp32_and_saves_fp32(train):
    full = train("--max-epoch", 2, into="full")
    half = train("--max-epoch", 2, "--bf16", into="half")
    assert half.code == 0
    assert losses(half) != losses(full)
    assert losses(half) == pytest.approx(losses(full), rel=0.05)
    assert {value.dtype for value in weights(half).values()} == {torch.float32}
    assert all(math.isfinite(value) for value in losses(half))


@pytest.fixture
def half_on_cpu(monkeypatch):
    """Loss-scaled float16 on the CPU, starting at a loss scale: what --fp16 does on a GPU."""

    def install(scale):
        def precision(args):
            scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
            return MixedPrecision("16-mixed", device="cpu", scaler=scaler)

        monkeypatch.setattr(engine, "_precision", precision)

    return install


def test_float16_scales_the_loss_and_unscales_gradients(train, half_on_cpu):
    full = train("--max-epoch", 2, "--clip-norm", 2, into="full")
    half_on_cpu(2.0**10)
    half = train("--max-epoch", 2, "--clip-norm", 2, into="half")
    assert losses(half) == pytest.approx(losses(full), rel=0.02)
    norms = [[event["gnorm"] for event in run.events("train_inner")] for run in (half, full)]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
    assert half.events("train_inner")[0]["loss_scale"] == 2.0**10


def test_float16_overflow_skips_the_update_and_halves_the_scale(train, half_on_cpu):
    half_on_cpu(2.0**126)
    run = train("--max-update", 3, "--disable-validation")
    assert run.code == 0
    assert [event["num_updates"] for event in run.events("train_inner")] == [1, 2, 3]
    assert run.events("train_inner")[-1]["loss_scale"] < 2.0**120
    assert run.state()["extra_state"]["train_iterator"]["iterations_in_epoch"] != 3
    assert run.state()["extra_state"]["grad_scaler"]["scale"] == run.events("train_inner")[-1]["loss_scale"]


def test_float16_that_keeps_overflowing_gives_up(train, half_on_cpu):
    half_on_cpu(1.0)
    run = train("--max-update", 3, "--toy-scale", 1e38)
    assert run.code == 2
    assert "the loss scale fell to" in run.err
