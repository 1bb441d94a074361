"""`moleblend models`: the list of bundled networks, and a card."""

from __future__ import annotations

import json

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.networks.registry import DEFAULT_NETWORK, BundledNetwork, bundled_networks


def test_the_list_has_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models"])
    out = capsys.readouterr().out
    assert out.startswith(f"{DEFAULT_NETWORK}  (default)\n")
    for network in bundled_networks().values():
        for fact in (network.name, network.summary, network.sha256, str(network.card)):
            assert fact in out
        assert f"{network.size / 1e6:.1f} MB, {network.weights:,} weights" in out
    assert "damaged" not in out


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == list(bundled_networks())
    network = bundled_networks()[DEFAULT_NETWORK]
    first = listed[0]
    assert (first["default"], first["damage"], first["size"]) == (True, None, network.size)
    assert (first["file"], first["sha256"]) == (str(network.path), network.sha256)


@pytest.mark.parametrize("name", [DEFAULT_NETWORK, "default"])
def test_a_name_prints_the_card(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models", name])
    card = bundled_networks()[DEFAULT_NETWORK].card.read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == card.strip()


def test_an_unknown_name_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("x", f"choose from {DEFAULT_NETWORK}"), (DEFAULT_NETWORK[1:], "did you mean")):
        with pytest.raises(SystemExit, match="2"):
            main(["models", name])
        assert words in capsys.readouterr().err


def test_a_damaged_network_is_marked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundledNetwork, "find_damage", lambda self: "it is torn")
    with pytest.raises(SystemExit, match="0"):
        main(["models"])
    assert "  damaged it is torn; install the package again" in capsys.readouterr().out
