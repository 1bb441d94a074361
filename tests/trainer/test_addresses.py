"""Which address a node announces: never one that others cannot reach."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.nodes import addresses
from moleblend_plugin.trainer.nodes.addresses import Address

HERE = {"lo": ["127.0.0.1", "::1"], "eth0": ["10.0.0.7", "fd00::7"], "ib0": ["192.168.5.7"], "down0": []}


def own_name(monkeypatch: pytest.MonkeyPatch, resolves_to: str | None) -> None:
    def getaddrinfo(name: Any, *_: object, **__: Any) -> Any:
        if resolves_to is None:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolves_to, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_addresses_that_no_other_node_reaches(address: str) -> None:
    assert addresses.is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.2", "fd00::2", "fe80::1%eth0", "128.0.0.1"])
def test_addresses_that_others_may_reach(address: str) -> None:
    assert not addresses.is_loopback(address)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's list of interfaces")
def test_interfaces_are_listed_with_their_addresses() -> None:
    listed = addresses.list_interfaces()
    assert set(listed) == {name for _, name in socket.if_nameindex()}
    assert listed["lo"][0] == "127.0.0.1"


def test_the_way_to_a_node_tells_the_address() -> None:
    assert addresses.route_source("127.0.0.1", 29500) == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("no-such-node.invalid", "in numbers (torchrun"), ("[fd00::1]", "without the brackets")],
)
def test_a_first_node_whose_name_resolves_to_nothing(name: str, hint: str) -> None:
    with pytest.raises(MoleblendError, match="resolves to nothing on") as refused:
        addresses.route_source(name, 29500)
    assert name in str(refused.value)
    assert hint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_first_node_without_a_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unconnected(socket.socket):
        def connect(self, address: Any) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Unconnected)
    with pytest.raises(MoleblendError, match=r"no way to the first node 10.0.0.1 \(Network is unreachable\)"):
        addresses.route_source("10.0.0.1", 29500)


def test_the_interface_that_the_user_named_counts() -> None:
    assert addresses.given_address("ib0", HERE) == Address("192.168.5.7", "ib0", "set by GLOO_SOCKET_IFNAME")
    assert addresses.given_address("eth0,ib0", HERE).host == "10.0.0.7"
    assert addresses.given_address("en0", {}).interface == "en0"  # interfaces are not known: gloo looks


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("lo", "announces 127.0.0.1, which other nodes cannot reach"),
        ("eth0,lo", "announces 127.0.0.1, which other nodes cannot reach"),
        ("eth9", "'eth9' is not a network interface"),
        ("down0", "'down0' has no address"),
    ],
)
def test_an_interface_that_cannot_be(named: str, fault: str) -> None:
    with pytest.raises(MoleblendError) as refused:
        addresses.given_address(named, HERE)
    assert f"GLOO_SOCKET_IFNAME={named}" in str(refused.value)
    assert fault in str(refused.value)
    assert "one of eth0 (10.0.0.7), ib0 (192.168.5.7)" in str(refused.value)


@pytest.mark.parametrize(
    ("source", "announced"),
    [
        ("10.0.0.7", "10.0.0.7 on eth0"),
        ("fd00::7", "10.0.0.7 on eth0"),
        ("192.168.5.7", "192.168.5.7 on ib0"),
    ],
)
def test_the_way_to_the_first_node_chooses(
    monkeypatch: pytest.MonkeyPatch, source: str, announced: str
) -> None:
    """gloo takes an interface's first address, so that one is told."""
    monkeypatch.setattr(addresses, "route_source", lambda *_: source)
    assert str(addresses.routed_address("first", 1, HERE)).startswith(f"{announced} (the way to first;")


def test_a_way_over_the_loopback_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "route_source", lambda *_: "127.0.0.1")
    assert addresses.routed_address("first", 1, HERE) is None


@pytest.mark.parametrize(("name", "announced"), [("10.0.0.9", "10.0.0.9"), ("127.0.1.1", None), (None, None)])
def test_without_a_known_interface_the_own_name_counts(
    monkeypatch: pytest.MonkeyPatch, name: str | None, announced: str | None
) -> None:
    monkeypatch.setattr(addresses, "route_source", lambda *_: "10.0.0.9")
    own_name(monkeypatch, name)
    found = addresses.routed_address("first", 1, {})
    assert (found and found.host) == announced


@pytest.mark.parametrize(("name", "told"), [("127.0.1.1", "127.0.1.1"), (None, "nothing")])
def test_only_the_loopback_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str | None, told: str
) -> None:
    own_name(monkeypatch, name)
    words = str(addresses.no_address("first", HERE))
    assert f"MASTER_ADDR=first; its own name resolves to {told}): set GLOO_SOCKET_IFNAME to" in words
    assert "one of eth0 (10.0.0.7), ib0 (192.168.5.7)" in words
