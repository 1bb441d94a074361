"""Importing published checkpoints from the command line, hostile and damaged files included."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.cli.import_official import import_official
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.blend.published_weights import from_published
from tests.published_files import published_state


class Payload:
    """A pickle that would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("kind", ["npz", "state", "fairseq"])
def test_every_layout_gives_a_checkpoint_that_loads(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = published_state()
    source, out = tmp_path / ("w.npz" if kind == "npz" else "w.pt"), tmp_path / "new" / "ours.pt"
    if kind == "npz":
        np.savez(source, **{name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(state if kind == "state" else {"args": argparse.Namespace(lr=1.0), "model": state}, source)
    import_official(source, out)
    printed = capsys.readouterr().out
    assert "published names without a place in ours: 1\n  encoder.layer_norm.weight" in printed
    assert "--encoder-embed-dim 16" in printed
    assert "--pair-target direction" in printed
    with torch.serialization.safe_globals([argparse.Namespace]):
        written = torch.load(out, weights_only=True)
    model = MoleBlend(from_published(state).config)
    model.load_state_dict(written["model"])
    assert written["args"].encoder_layers == 1


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    source, witness = tmp_path / "bad.pt", tmp_path / "witness"
    torch.save({"model": published_state(), "extra": Payload(witness)}, source)
    with pytest.raises(MoleblendError, match="refused"):
        import_official(source, tmp_path / "out.pt")
    assert not witness.exists()
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("missing.pt", None, "no such file"),
        ("short.pt", b"PK\x03\x04 cut off", "damaged or no PyTorch checkpoint"),
        ("text.npz", b"hello", "no readable .npz"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes | None, named: str) -> None:
    source = tmp_path / name
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(MoleblendError, match=named):
        import_official(source, tmp_path / "out.pt")


def test_a_checkpoint_without_tensors_is_named(tmp_path: Path) -> None:
    torch.save({"model": {"epoch": 3}}, tmp_path / "w.pt")
    with pytest.raises(MoleblendError, match="no tensors"):
        import_official(tmp_path / "w.pt", tmp_path / "out.pt")


def test_the_previous_file_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tmp_path / "w.pt", tmp_path / "out.pt"
    torch.save(published_state(), source)
    out.write_bytes(b"good")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MoleblendError, match="No space left on device"):
        import_official(source, out)
    assert out.read_bytes() == b"good"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.pt", "w.pt"]
