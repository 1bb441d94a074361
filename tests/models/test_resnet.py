"""ResNet-18: torchvision's names, sizes and files; batch statistics over processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.batch_norm import SharedBatchNorm
from moleblend_plugin.models.parts.resnet import ResNet18, load_image_weights


def test_names_and_sizes_are_torchvisions() -> None:
    """11,176,512 weights without the classifier, under names of torchvision's documentation."""
    network = ResNet18(64, Exchange())
    assert sum(weight.numel() for weight in network.parameters()) == 11_176_512
    state = network.state_dict()
    assert len(state) == 120
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)
    assert state["layer4.1.bn2.running_var"].shape == (512,)
    assert "layer1.0.downsample.0.weight" not in state


def test_a_users_weights_load_and_the_classifier_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = ResNet18(64, Exchange()).state_dict()
    file = tmp_path / "resnet18.pth"
    torch.save(theirs | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, file)
    ours = ResNet18(64, Exchange())
    load_image_weights(ours, str(file))
    assert torch.equal(ours.layer2[1].conv1.weight, theirs["layer2.1.conv1.weight"])
    with pytest.raises(MoleblendError, match="does not fit .* --image-width 64"):
        load_image_weights(ResNet18(16, Exchange()), str(file))


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "no such file"), (b"not a torch file", "cannot be read"), ([1, 2], "is not a state dict")],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, content: bytes | list[int] | None, told: str
) -> None:
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        torch.save(content, file)
    with pytest.raises(MoleblendError, match=told) as caught:
        load_image_weights(ResNet18(4, Exchange()), str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("size", [32, 33, 64])
def test_any_number_of_drawings_of_any_size(rows: int, size: int) -> None:
    network = ResNet18(4, Exchange()).train()
    features = network(torch.zeros(rows, 3, size, size))
    assert features.shape == (rows, 32)
    features.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


def test_statistics_are_torchs() -> None:
    """The form that several processes use, on one process, against torch's own; also the running ones."""
    x = torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 3 + 5
    ours, theirs = SharedBatchNorm(3, Exchange()), torch.nn.BatchNorm2d(3)
    left, right = x.clone().requires_grad_(), x.clone().requires_grad_()
    weigh = torch.randn(7, 3, 4, 4)
    for _ in range(3):
        out = ours._over_processes(left)
        expected = theirs(right)
    torch.testing.assert_close(out, expected)
    (out * weigh).sum().backward()
    (expected * weigh).sum().backward()
    torch.testing.assert_close(left.grad, right.grad)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
