"""Fine-tuning under Uni-Core's own trainer, in subprocesses, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.metrics.scores import MULTICLASS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.networks.registry import default_network
from moleblend_plugin.tasks.load import load_property_model, network_flags
from tests.labelled import CLASSES, NAN, RUN, SMALL, class_tables, regression_tables, write_labelled
from tests.tasks.test_mixed import LOSS as MIXED
from tests.tasks.test_mixed import NAMES as MIXED_NAMES
from tests.tasks.test_mixed import READS as MIXED_READS
from tests.tasks.test_mixed import tables as mixed_tables
from tests.trainers import EMBEDDED, NO_DROPOUT, UNICORE, last_state, launch, logged, needs_unicore, train

pytestmark = needs_unicore

REGRESSION = (*RUN, "--loss", "moleblend_regression", *NO_DROPOUT, "--max-epoch", 3)
MEASURED = ("loss", "rmse", "mae", "r2", "spearman")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("store"), regression_tables(), conformers=2)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pretrained") / "pretrained.pt"
    torch.save({"model": MoleBlend(SMALL).state_dict()}, path)
    return path


def same(ours: list[dict[str, float]], theirs: list[dict[str, float]], names: tuple[str, ...]) -> None:
    assert len(ours) == len(theirs) > 0
    for left, right in zip(ours, theirs, strict=True):
        shown = [right[name] for name in names]
        assert [left[name] for name in names] == pytest.approx(shown, rel=1e-4, abs=2e-4)


def test_both_hosts_fine_tune_alike(data: Path, pretrained: Path, tmp_path: Path) -> None:
    """From pretrained weights, with layer-wise learning rates."""
    settings = [*REGRESSION, "--finetune-from-model", pretrained, "--layer-lr-decay", 0.8]
    theirs = train(UNICORE, data, tmp_path / "u", *settings)
    ours = train(EMBEDDED, data, tmp_path / "e", *settings)
    same(logged(ours, "train_inner"), logged(theirs, "train_inner"), ("loss", "lr", "bsz"))
    same(logged(ours, "valid"), logged(theirs, "valid"), MEASURED)
    left, _ = load_property_model(tmp_path / "u" / "checkpoint_last.pt")
    right, _ = load_property_model(tmp_path / "e" / "checkpoint_last.pt")
    for (name, one), other in zip(left.state_dict().items(), right.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)


def test_both_hosts_tell_several_classes_apart_alike(tmp_path: Path) -> None:
    """One column of three classes, some of them missing; options as users of Uni-Core give them."""
    rows = [[NAN if row % 7 == 6 else float(row % 3)] for row in range(16)]
    data = write_labelled(tmp_path, {"train": rows, "valid": rows[:9]}, ("tox",))
    settings = [*RUN, "--loss", "moleblend_multiclass", "--num-classes", 4, "--class-weights", "balanced",
                *NO_DROPOUT, "--max-epoch", 2, "--best-checkpoint-metric", "roc_auc_ovr",
                "--maximize-best-checkpoint-metric"]  # fmt: skip
    theirs = train(UNICORE, data, tmp_path / "u", *settings)
    ours = train(EMBEDDED, data, tmp_path / "e", *settings)
    same(logged(ours, "train_inner"), logged(theirs, "train_inner"), ("loss", "lr", "bsz"))
    same(logged(ours, "valid"), logged(theirs, "valid"), ("loss", *MULTICLASS))
    network, args = load_property_model(tmp_path / "u" / "checkpoint_best.pt")
    assert (args.num_classes, network.property.column_kinds) == (4, ("multiclass",))


@pytest.mark.parametrize("epochs", [2, 3], ids=["frozen at the break", "all learn at the break"])
def test_both_hosts_freeze_the_encoder_at_first_and_read_descriptors(
    pretrained: Path, tmp_path: Path, epochs: int
) -> None:
    """Two epochs of four with a frozen encoder, weight decay on; the other host goes on with the run."""
    data = write_labelled(tmp_path, regression_tables(), descriptors=5)
    settings = [*REGRESSION, "--finetune-from-model", pretrained, "--freeze-epochs", 2, "--clip-norm", 1,
                "--molecule-featurizers", "descriptors", "--weight-decay", 0.1]  # fmt: skip
    theirs = train(UNICORE, data, tmp_path / "u", *settings, "--max-epoch", epochs)
    if epochs == 2:
        frozen = torch.load(pretrained)["model"]
        kept = load_property_model(tmp_path / "u" / "checkpoint_last.pt")[0].state_dict()
        assert all(torch.equal(value, frozen[name]) for name, value in kept.items() if name in frozen)
    straight = train(EMBEDDED, data, tmp_path / "e", *settings, "--max-epoch", 4)
    halves = train(EMBEDDED, data, tmp_path / "u", *settings, "--max-epoch", 4)
    together = logged(theirs, "train_inner") + logged(halves, "train_inner")
    same(logged(straight, "train_inner"), together, ("loss", "bsz"))
    same(logged(straight, "valid"), logged(theirs, "valid") + logged(halves, "valid"), MEASURED)


def test_the_name_of_a_bundled_network(data: Path, tmp_path: Path) -> None:
    """Uni-Core opens a path; it gets the network's file. The update is too small to change a weight much."""
    once = ("--lr", "1e-9", "--max-update", 1)
    named = [*REGRESSION, *network_flags(Path("default")), *once, "--finetune-from-model"]
    log = train(UNICORE, data, tmp_path / "run", *named, "default")
    bundled = default_network()
    assert f"loading pretrained model from {bundled.path}" in log
    state, held = last_state(tmp_path / "run"), read_checkpoint(bundled.path, ("model",))["model"]
    shared = sorted(set(state["model"]) & set(held))
    assert len(shared) > 50
    for name in shared:
        torch.testing.assert_close(state["model"][name], held[name], atol=1e-6, rtol=1e-6, msg=name)
    done = launch(UNICORE, data, tmp_path / "other", *named, bundled.name[:-1])
    assert done.returncode == 2
    assert f"did you mean {bundled.name}?" in done.stderr
    assert done.stderr.count("error: ") == 1


def test_a_property_run_goes_on_under_the_other_host(data: Path, tmp_path: Path) -> None:
    straight = train(EMBEDDED, data, tmp_path / "straight", *REGRESSION)
    train(UNICORE, data, tmp_path / "halves", *REGRESSION, "--max-epoch", 2)
    halves = train(EMBEDDED, data, tmp_path / "halves", *REGRESSION)
    same(logged(halves, "valid")[-1:], logged(straight, "valid")[-1:], MEASURED)


def test_classification_keeps_the_best(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, class_tables())
    metric = ("--best-checkpoint-metric", "roc_auc", "--maximize-best-checkpoint-metric")
    settings = [*RUN, "--loss", CLASSES, *NO_DROPOUT, "--max-epoch", 2, *metric]
    theirs, ours = (
        train(host, data, tmp_path / name, *settings) for host, name in ((UNICORE, "u"), (EMBEDDED, "e"))
    )
    same(logged(ours, "valid"), logged(theirs, "valid"), ("loss", "roc_auc", "pr_auc", "tasks_counted"))
    model, args = load_property_model(tmp_path / "u" / "checkpoint_best.pt")
    assert (model.property.kind, args.target_names) == ("classification", ["a", "b"])


def test_both_hosts_learn_values_and_classes_together(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, mixed_tables(), MIXED_NAMES)
    settings = [*RUN, "--loss", MIXED, *MIXED_READS, *NO_DROPOUT, "--max-epoch", 2]
    theirs, ours = (
        train(host, data, tmp_path / name, *settings) for host, name in ((UNICORE, "u"), (EMBEDDED, "e"))
    )
    same(logged(ours, "train_inner"), logged(theirs, "train_inner"), ("loss", "lr", "bsz"))
    same(logged(ours, "valid"), logged(theirs, "valid"), ("loss", "rmse", "r2", "roc_auc"))
    model, args = load_property_model(tmp_path / "u" / "checkpoint_best.pt")
    assert (model.property.kind, args.class_columns) == ("mixed", "toxic")


def test_layer_decay_in_half_precision_is_refused(data: Path, tmp_path: Path) -> None:
    done = launch(UNICORE, data, tmp_path, *REGRESSION, "--bf16", "--layer-lr-decay", 0.9)
    assert done.returncode != 0
    assert "--layer-lr-decay with --bf16 is not possible under Uni-Core" in done.stdout + done.stderr
