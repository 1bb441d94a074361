"""Models that say how far to trust them: files, what `moleblend predict` writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.cli.main import main
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.ensemble_file import EnsembleFile, read_ensemble, write_ensemble
from moleblend_plugin.inference.kept_trust import with_trust
from moleblend_plugin.inference.outputs import predict_to_table
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.trust_columns import TrustColumns, choose_trust_columns
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.file import TrustFile, write_trust
from moleblend_plugin.trust.model import HeldOut, Trust
from tests.checkpoints import property_checkpoint

NAN = float("nan")
SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "Cl")]
N = len(SMILES)


def trust_for(names: tuple[str, ...], kind: str = "regression", labels: int = N) -> Trust:
    """Rows are 10 and on; the last target has ``labels`` labels."""
    random = np.random.default_rng(0)
    targets = random.normal(100, 20, (N, len(names)))
    if kind == "classification":
        targets = (np.arange(N) % 2)[:, None].repeat(len(names), 1).astype(float)
    targets[labels:, -1] = NAN
    predictions = (
        random.random(targets.shape) if kind == "classification" else targets + random.normal(size=(N, 1))
    )
    rows = np.arange(N) + 10
    held = HeldOut("folds", SMILES, rows, targets, predictions, np.arange(N) % 3)
    return calibrate(kind, names, Domain.of(SMILES, rows), held, ("no", "yes"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    folder = tmp_path_factory.mktemp("members")
    return tuple(
        property_checkpoint(folder / f"{shift}.pt", ("y", "z"), shift=shift).read_bytes()
        for shift in (0.0, 50.0)
    )


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return property_checkpoint(tmp_path_factory.mktemp("one") / "y.pt", kind="classification").read_bytes()


@pytest.fixture
def several_file(members: tuple[bytes, ...], tmp_path: Path) -> Path:
    path = tmp_path / "several.pt"
    write_ensemble(path, EnsembleFile(members, trust=write_trust(trust_for(("y", "z")))))
    return path


@pytest.fixture
def single_file(single: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "single.pt"
    path.write_bytes(with_trust(single, write_trust(trust_for(("y",), "classification"))))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("smiles,low_y\nCCO,mine\nbad(,\nFC(F)(F)c1ncns1,\nCCCCN,\n")
    return path


def predict(*words: object) -> int:
    try:
        main([str(word) for word in ("predict", *words, "--device", "cpu", "--workers", 1)])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


NEAREST = ["nearest_similarity", "nearest_training_row", "nearest_training_smiles", "outside_domain"]


def test_an_ensemble_writes_intervals_and_the_nearest_molecule(
    several_file: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert predict(several_file, table, "--out", out, "--interval", 0.8) == 0
    rows = read(out)
    names = [
        "predicted_y",
        "predicted_z",
        "members_sd_y",
        "members_sd_z",
        "low_y_",
        "low_z",
        "high_y",
        "high_z",
    ]
    assert list(rows[0]) == ["row_id", "smiles", "low_y", *names, *NEAREST, "reason"]
    trust = Predictor.from_checkpoint(several_file, "cpu").trust
    assert trust is not None
    for row in (rows[0], rows[2], rows[3]):
        values = [[float(row["predicted_y"]), float(row["predicted_z"])]]
        low, high = trust.intervals(values, [float(row["nearest_similarity"])], 0.8)[0, 1]
        assert (float(row["low_z"]), float(row["high_z"])) == pytest.approx((low, high), rel=1e-6)
    assert rows[0]["low_y"] == "mine"
    assert [rows[0][name] for name in NEAREST] == ["1", "13", "CCO", "False"]
    assert rows[2]["outside_domain"] == "True"
    assert {rows[1][name] for name in (*names, *NEAREST)} == {""}
    assert rows[1]["reason"] == "SMILES syntax"


def test_a_single_classifier_writes_probabilities_and_sets(
    single_file: Path, table: Path, tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    assert predict(single_file, table, "--out", tmp_path / "out.csv") == 0
    assert predict(single_file, table, "--out", tmp_path / "out.parquet") == 0
    rows = read(tmp_path / "out.csv")
    assert list(rows[0])[3:] == ["predicted_y", "calibrated_y", "set_y", *NEAREST, "reason"]
    trust = Predictor.from_checkpoint(single_file, "cpu").trust
    assert trust is not None
    for row in (rows[0], rows[2], rows[3]):
        p = [[float(row["predicted_y"])]]
        assert float(row["calibrated_y"]) == pytest.approx(trust.calibrated(p)[0, 0], rel=1e-6)
        chosen = [name for name, inside in zip(("no", "yes"), trust.sets(p)[0, 0], strict=True) if inside]
        assert row["set_y"] == "|".join(chosen)
        assert chosen
    typed = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["nearest_training_row"] for row in typed][:2] == [13, None]
    assert [row["outside_domain"] for row in typed] == [False, None, True, False]
    assert typed[1]["set_y"] is None


def test_without_trust_the_table_is_as_it_was(
    several_file: Path, members: tuple[bytes, ...], table: Path, tmp_path: Path
) -> None:
    write_ensemble(tmp_path / "old.pt", EnsembleFile(members))
    assert predict(several_file, table, "--out", tmp_path / "without.csv", "--no-trust") == 0
    assert predict(tmp_path / "old.pt", table, "--out", tmp_path / "old.csv") == 0
    assert (tmp_path / "without.csv").read_bytes() == (tmp_path / "old.csv").read_bytes()
    assert list(read(tmp_path / "old.csv")[0]) == [
        *("row_id", "smiles", "low_y", "predicted_y", "predicted_z", "reason")
    ]


def test_windows_do_not_matter(several_file: Path, table: Path, tmp_path: Path) -> None:
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.inference import Input
    from moleblend_plugin.inputs import open_molecules

    predictor = Predictor.from_checkpoint(several_file, "cpu")
    columns, notes = choose_trust_columns(predictor, False, None, True)
    assert notes == []
    written = []
    for window in (1, 1000):
        rows = Input(open_molecules(table), ConversionConfig(None, source_coords=False))
        predict_to_table(
            predictor, rows, tmp_path / f"{window}.csv", 4, lambda _: None, window, extra=columns
        )
        written.append(read(tmp_path / f"{window}.csv"))
    for one, other in zip(*written, strict=True):
        for name in one:
            if one[name] and name.startswith(("low", "high", "predicted")) and one[name] != "mine":
                assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-5)
            elif not name.startswith("members_sd"):
                assert one[name] == other[name]


def chosen(
    trust: Trust | None, interval: float | None = None, wanted: bool = True
) -> tuple[TrustColumns, list[str]]:
    class Model:
        n_members = 2

    Model.trust = trust  # type: ignore[attr-defined]
    return choose_trust_columns(Model(), False, interval, wanted)  # type: ignore[arg-type]


def test_what_cannot_be_said_is_a_note_or_if_asked_for_an_error() -> None:
    few = trust_for(("y", "z"), labels=5)
    found, notes = chosen(few)
    assert found.level == 0.9
    assert "needs 9 molecules that the model was not trained on, and there are fewer (z 5)" in notes[0]
    alone = trust_for(("y",), labels=5)
    found, notes = chosen(alone)
    assert (found.level, found.trust, len(notes)) == (None, alone, 1)
    with pytest.raises(MoleblendError, match="an interval at level 0.95 needs 19 molecules"):
        chosen(alone, 0.95)
    bare = calibrate("regression", ("y",), Domain.of(SMILES, range(N)))
    found, notes = chosen(bare)
    assert (found.level, notes[0].split(":")[0]) == (None, "no intervals")
    with pytest.raises(MoleblendError, match="--interval 0.9: the model has no predictions of molecules"):
        chosen(bare, 0.9)
    with pytest.raises(MoleblendError, match="--interval: the model does not say how far to trust it"):
        chosen(None, 0.9)
    with pytest.raises(MoleblendError, match="--interval and --no-trust exclude each other"):
        chosen(alone, 0.9, False)
    with pytest.raises(MoleblendError, match="level=90: give a number between 0 and 1"):
        chosen(trust_for(("y",)), 90)


def test_a_refusal_writes_nothing(
    several_file: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(several_file, table, "--out", tmp_path / "o.csv", "--interval", 0.999) != 0
    error = capsys.readouterr().err
    assert "needs 999 molecules" in error
    assert not (tmp_path / "o.csv").exists()


# ----------------------------------------------------------------------------------------------------- files


def test_files_keep_it_and_old_ones_have_none(
    several_file: Path, single_file: Path, single: bytes, members: tuple[bytes, ...], tmp_path: Path
) -> None:
    kept = read_ensemble(several_file)
    assert kept.trust is not None
    write_ensemble(tmp_path / "again.pt", kept)
    assert read_ensemble(tmp_path / "again.pt") == kept
    (tmp_path / "old.pt").write_bytes(single)
    assert Predictor.from_checkpoint(tmp_path / "old.pt", "cpu").trust is None
    with zipfile.ZipFile(tmp_path / "older.pt", "w") as archive:  # as the version before wrote it
        about = {"format": 1, "version": "0.1", "members": 1, "stack": None, "forests": [], "estimator": None}
        archive.writestr("ensemble.json", json.dumps(about))
        archive.writestr("member_1.pt", members[0])
    assert Predictor.from_checkpoint(tmp_path / "older.pt", "cpu").trust is None
    state = torch.load(single_file, weights_only=False)
    assert state["args"].trust["about"]["names"] == ["y"]


def test_a_damaged_piece_is_named(several_file: Path, tmp_path: Path) -> None:
    content = bytearray(several_file.read_bytes())
    with zipfile.ZipFile(several_file) as archive:
        piece = archive.getinfo("trust.npz")
    content[piece.header_offset + piece.file_size // 2] ^= 1
    (tmp_path / "bit.pt").write_bytes(content)
    with pytest.raises(
        MoleblendError, match=r"bit.pt': its trust in predictions is damaged \(.*\): use another"
    ):
        Predictor.from_checkpoint(tmp_path / "bit.pt", "cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["other"]}, "is not sound"),
        ({"format": 2, "version": "9"}, "is of a newer moleblend_plugin"),
    ],
)
def test_a_strange_piece_is_one_line(
    change: dict[str, object], words: str, single: bytes, members: tuple[bytes, ...], tmp_path: Path
) -> None:
    kept = write_trust(trust_for(("y", "z")))
    write_ensemble(
        tmp_path / "m.pt", EnsembleFile(members, trust=TrustFile(kept.about | change, kept.arrays))
    )
    with pytest.raises(MoleblendError, match=f"m.pt' cannot be used: .*{words}"):
        Predictor.from_checkpoint(tmp_path / "m.pt", "cpu")
    (tmp_path / "s.pt").write_bytes(with_trust(single, TrustFile(kept.about | change, kept.arrays)))
    with pytest.raises(MoleblendError, match=f"s.pt' cannot be used: .*{words}"):
        Predictor.from_checkpoint(tmp_path / "s.pt", "cpu")


def test_the_trust_of_another_model_is_refused(single: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.pt").write_bytes(with_trust(single, write_trust(trust_for(("z",), "classification"))))
    with pytest.raises(MoleblendError, match="is of classification of z, not of its own targets"):
        Predictor.from_checkpoint(tmp_path / "s.pt", "cpu")
