"""What a name stands for, and what a path does."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.networks import resolve
from moleblend_plugin.networks.registry import DEFAULT_NETWORK, FOLDER, bundled_networks
from moleblend_plugin.networks.resolve import (
    find_checkpoint_file,
    in_this_installation,
    is_name,
    name_or_path,
    resolve_start,
)

BUNDLED = FOLDER / f"{DEFAULT_NETWORK}.pt"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_name_is_the_file_of_its_network() -> None:
    assert find_checkpoint_file(DEFAULT_NETWORK) == BUNDLED
    assert find_checkpoint_file(Path(DEFAULT_NETWORK)) == BUNDLED
    assert find_checkpoint_file("default") == BUNDLED


def test_a_file_that_is_there_wins_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Path(DEFAULT_NETWORK).write_text("mine")
    with caplog.at_level(logging.WARNING, "moleblend_plugin"):
        assert find_checkpoint_file(DEFAULT_NETWORK) == Path(DEFAULT_NETWORK)
    assert "is a file here, which is taken; the bundled network of this name is" in caplog.text


def test_a_folder_of_that_name_is_no_checkpoint() -> None:
    Path(DEFAULT_NETWORK).mkdir()
    assert find_checkpoint_file(DEFAULT_NETWORK) == BUNDLED


def test_default_is_never_a_file_of_the_working_directory() -> None:
    Path("default").write_text("mine")
    assert find_checkpoint_file("default") == BUNDLED
    assert find_checkpoint_file(Path("default").resolve()).read_text() == "mine"


@pytest.mark.parametrize("given", ["gone.pt", "runs/gone", "~/gone", "..", ""])
def test_a_path_is_left_to_whoever_opens_it(given: str) -> None:
    assert find_checkpoint_file(given) == Path(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (DEFAULT_NETWORK[:-1], f"did you mean {DEFAULT_NETWORK}"),
        (DEFAULT_NETWORK.upper(), f"did you mean {DEFAULT_NETWORK}"),
        (f"{DEFAULT_NETWORK}.pt", f"did you mean {DEFAULT_NETWORK}"),
        ("gone", f"check the path, or choose from {', '.join(bundled_networks())}"),
    ],
)
def test_a_word_that_is_neither_is_one_line(given: str, words: str) -> None:
    with pytest.raises(MoleblendError, match=words) as caught:
        find_checkpoint_file(given, "--flag")
    assert str(caught.value).startswith(f"--flag {given!r} is neither a file nor a bundled network")


def test_names_and_paths_are_distinguished() -> None:
    assert is_name(DEFAULT_NETWORK)
    assert is_name("default")
    assert not any(map(is_name, ("gone", str(BUNDLED), f"{DEFAULT_NETWORK}.pt", "")))


def test_the_file_of_any_installation_has_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Path("/opt/venv/lib/moleblend_plugin/networks", BUNDLED.name)
    assert name_or_path(BUNDLED) == name_or_path(elsewhere) == DEFAULT_NETWORK
    assert in_this_installation(elsewhere) == BUNDLED
    for other in (Path("/opt/other/networks", BUNDLED.name), elsewhere.with_name("unknown.pt"), Path("x.pt")):
        assert name_or_path(other) == str(other)
        assert in_this_installation(other) == other


def test_trainers_get_the_file() -> None:
    args = Namespace(finetune_from_model=DEFAULT_NETWORK, restore_file="checkpoint_last.pt")
    resolve_start(args)
    assert args.finetune_from_model == str(BUNDLED)
    resolve_start(args)
    assert args.finetune_from_model == str(BUNDLED)
    none = Namespace(finetune_from_model=None, restore_file="checkpoint_last.pt")
    resolve_start(none)
    assert none.finetune_from_model is None


def test_a_run_is_not_resumed_from_weights() -> None:
    args = Namespace(finetune_from_model=None, restore_file=DEFAULT_NETWORK)
    with pytest.raises(MoleblendError, match=f"give --finetune-from-model {DEFAULT_NETWORK}"):
        resolve_start(args)
    Path(DEFAULT_NETWORK).write_text("a checkpoint of the user's")
    resolve_start(args)


def test_the_room_names_what_users_import() -> None:
    import moleblend_plugin.networks as room

    assert room.find_checkpoint_file is resolve.find_checkpoint_file
    assert room.DEFAULT_NETWORK == DEFAULT_NETWORK
