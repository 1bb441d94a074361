"""Which address a process announces to those of other nodes, and whether they can reach it.

gloo announces the first address of the interface that ``GLOO_SOCKET_IFNAME`` names, else whatever the
machine's own name resolves to. On Debian and Ubuntu that is 127.0.1.1, which no other node reaches, and a
name that resolves to nothing gives 127.0.0.1. So the interface is chosen here: the one from which the way
to the first node (``MASTER_ADDR``) leaves.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from moleblend_plugin.errors import MoleblendError

VARIABLE = "GLOO_SOCKET_IFNAME"
ONE_MACHINE = "to train on one machine, start all processes with one torchrun --standalone --nproc_per_node N"

Interfaces = Mapping[str, list[str]]
"""Addresses of every network interface, in the order in which the system lists them."""


@dataclass(frozen=True)
class Address:
    """What a process announces.

    Attributes:
        host: the address, in numbers.
        interface: name of the network interface, empty where it is not known.
        why: how it was chosen, in words.
    """

    host: str
    interface: str
    why: str

    def __str__(self) -> str:
        return f"{self.host}{f' on {self.interface}' if self.interface else ''} ({self.why})"


class _IfAddr(ctypes.Structure):
    """``struct ifaddrs`` of Linux, as far as it is read here (man 3 getifaddrs)."""


_IfAddr._fields_ = [  # it holds a pointer to its own kind
    ("next", ctypes.POINTER(_IfAddr)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def _numeric(pointer: int | None) -> str | None:
    """The IP address of a ``struct sockaddr``, ``None`` for other kinds."""
    if not pointer:
        return None
    family = ctypes.c_ushort.from_address(pointer).value
    layouts = {int(socket.AF_INET): (4, 4), int(socket.AF_INET6): (8, 16)}
    offset, size = layouts.get(family, (0, 0))
    return str(ipaddress.ip_address(ctypes.string_at(pointer + offset, size))) if size else None


def list_interfaces() -> dict[str, list[str]]:
    """Interfaces of this machine with their addresses, as gloo finds them; empty elsewhere than on Linux."""
    if not sys.platform.startswith("linux"):
        return {}
    library, first = ctypes.CDLL(None, use_errno=True), ctypes.POINTER(_IfAddr)()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        return {}
    found: dict[str, list[str]] = {}
    try:
        entry = first
        while entry:
            addresses = found.setdefault(entry.contents.name.decode(), [])
            if (address := _numeric(entry.contents.address)) is not None:
                addresses.append(address)
            entry = entry.contents.next
    finally:
        library.freeifaddrs(first)
    return found


def is_loopback(address: str) -> bool:
    """Whether an address (in numbers) is one of 127.0.0.0/8 or ::1, also written as IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback or ip.is_unspecified)


def resolve(name: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Addresses of a host name.

    Raises:
        MoleblendError: it has none here.
    """
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        hint = " without the brackets" if name.startswith("[") else ""
        raise MoleblendError(
            f"the first node's name MASTER_ADDR={name!r} resolves to nothing on {socket.gethostname()} "
            f"({getattr(error, 'strerror', None) or error}): give its address in numbers{hint} "
            "(torchrun --master_addr or --local-addr; SLURM: export MASTER_ADDR), or add it to /etc/hosts"
        ) from error
    return [(entry[0], str(entry[4][0])) for entry in found]


def route_source(towards: str, port: int) -> str:
    """The own address from which packets to a host leave. No packet is sent: a UDP socket is only connected.

    Raises:
        MoleblendError: the name resolves to nothing, or there is no way to it.
    """
    reason: OSError | None = None
    for family, address in resolve(towards, port):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, port or 1))
                return str(probe.getsockname()[0])
        except OSError as error:
            reason = error
    raise MoleblendError(
        f"{socket.gethostname()} has no way to the first node {towards} "
        f"({reason.strerror if reason else 'no address'}): bring up the network between the nodes, or "
        "give the address that they share as --master_addr"
    )


def _shown(interfaces: Interfaces) -> str:
    named = [f"{name} ({addresses[0]})" for name, addresses in interfaces.items() if addresses]
    return ", ".join(named) or "none with an address"


def _usable(interfaces: Interfaces) -> str:
    """Interfaces to name as a remedy, those of the loopback left out."""
    return _shown({name: own for name, own in interfaces.items() if own and not is_loopback(own[0])})


def given_address(names: str, interfaces: Interfaces) -> Address:
    """The address of the interface that the user named in ``GLOO_SOCKET_IFNAME`` (several: with commas).

    Raises:
        MoleblendError: there is no such interface, or it reaches this machine only.
    """
    if not interfaces:  # another system than Linux: gloo itself looks the names up
        return Address("", names, f"set by {VARIABLE}")
    address = ""
    for name in names.split(","):
        own = interfaces.get(name, [])
        if not own:
            fault = "has no address" if name in interfaces else "is not a network interface"
            raise MoleblendError(
                f"{VARIABLE}={names}: {name!r} {fault} of {socket.gethostname()}: "
                f"set one of {_usable(interfaces)}"
            )
        if is_loopback(own[0]):
            raise MoleblendError(
                f"{VARIABLE}={names} announces {own[0]}, which other nodes cannot reach: set it to the "
                f"interface that the nodes share, one of {_usable(interfaces)}; {ONE_MACHINE}"
            )
        address = address or own[0]
    return Address(address, names, f"set by {VARIABLE}")


def routed_address(towards: str, port: int, interfaces: Interfaces) -> Address | None:
    """The address from which the way to another node leaves; ``None`` where that is the loopback.

    Where no interface is known to have it, the machine's own name decides, as gloo has it.

    Raises:
        MoleblendError: there is no such way.
    """
    source = route_source(towards, port)
    if is_loopback(source):
        return None
    for name, own in interfaces.items():
        if source in own:  # gloo takes an interface's first address
            return Address(own[0], name, f"the way to {towards}; {VARIABLE} changes it")
    named = own_name_address()
    if named is None or is_loopback(named):
        return None
    return Address(named, "", f"what {socket.gethostname()} resolves to; {VARIABLE} changes it")


def own_name_address() -> str | None:
    """What this machine's own name resolves to, ``None`` for nothing."""
    try:
        return str(socket.getaddrinfo(socket.gethostname(), None)[0][4][0])
    except (OSError, UnicodeError):
        return None


def no_address(towards: str, interfaces: Interfaces) -> MoleblendError:
    """The advice where only the loopback is known."""
    return MoleblendError(
        f"{socket.gethostname()} would announce a loopback address, which other nodes cannot reach "
        f"(MASTER_ADDR={towards}; its own name resolves to {own_name_address() or 'nothing'}): set "
        f"{VARIABLE} to the interface that the nodes share, one of {_usable(interfaces)}; {ONE_MACHINE}"
    )
