"""What a request must look like before anything is done for it, and the headers of every answer.

A page of another site that is open in the same browser can send requests to this server. Two things tell
them apart: ``Origin`` and ``Sec-Fetch-Site``, which browsers set and scripts cannot; and ``Host``, which
names the other site where its name was pointed at this machine (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from moleblend_plugin.entry import one_line
from moleblend_plugin.serving.limits import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""Of ASGI."""

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Nothing from elsewhere, in no frame, and no molecule in a cache; a route's own header wins."""

_DISCARDED: Final = 16
"""Times the limit of a body: what is read away of one that is too large, so that its sender sees why."""


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine only."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True)
class Hosts:
    """Names under which the server answers.

    Attributes:
        bound: the address that it listens at.
        allowed: further names, as a proxy may use.
    """

    bound: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()

    def accept(self, header: str) -> bool:
        """Whether a ``Host`` header names this server: any port, for tunnels end at another one.

        Beyond the loopback, every address is accepted: DNS rebinding needs a name.
        """
        name = _without_port(header).lower().rstrip(".")
        if name in {"localhost", self.bound.lower(), *(each.lower() for each in self.allowed)}:
            return True
        address = _address(name)
        if is_loopback(self.bound):
            return address is not None and address.is_loopback
        return address is not None or name in {socket.gethostname().lower(), socket.getfqdn().lower()}


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header.partition("]")[0][1:]
    return header.partition(":")[0]


class Guard:
    """ASGI middleware: refuses what comes from elsewhere or is too large, and adds :data:`HEADERS`.

    Args:
        app: what it guards.
        hosts: names of the server.
        limits: of bodies.
    """

    def __init__(self, app: App, hosts: Hosts, limits: Limits) -> None:
        self.app = app
        self.hosts = hosts
        self.limits = limits

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            if scope["type"] != "websocket":
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in HEADERS if pair[0] not in given),
                ]
            await send(message)

        headers = _headers(scope["headers"])
        refusal = self._foreign(headers, scope["method"])
        if refusal:
            await _answer(403, refusal, with_headers)
        elif (length := headers.get("content-length", "0")).isdecimal() and len(length) < 20:
            if int(length) > self.limits.max_bytes:
                await self._discard(receive)
                await _answer(413, too_many_bytes(self.limits), with_headers)
            else:
                await self.app(scope, receive, with_headers)
        else:
            await _answer(400, "the header Content-Length is no number of bytes", with_headers)

    def _foreign(self, headers: dict[str, str], method: str) -> str:
        """Why a request is not one of this server's own page or of a program; "" where it is."""
        host = headers.get("host", "")
        if not self.hosts.accept(host):
            return (
                f"the Host header names {one_line(host[:100])!r}, not this server: open it by its address, "
                "or start it with --allow-host NAME"
            )
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin is not None and _place(origin) != host.lower():
            return f"a page of {one_line(origin[:100])!r} may not use this server: open the server's own page"
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if from_elsewhere and not (method == "GET" and headers.get("sec-fetch-mode") == "navigate"):
            return "a page of another site may not use this server: open the server's own page"
        return ""

    async def _discard(self, receive: Receive) -> None:
        left = _DISCARDED * self.limits.max_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.body_seconds):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return


def too_many_bytes(limits: Limits) -> str:
    """What is said of a body that is too large."""
    return (
        f"the body is larger than the {limits.max_bytes:,} bytes of one request: send it in parts, or use "
        "moleblend predict, which has no limit"
    )


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; of one that is there twice both, so that neither is believed."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _place(origin: str) -> str:
    """``name:port`` of an origin, without the scheme: a proxy may speak HTTPS."""
    scheme, separator, place = origin.partition("://")
    return place.lower() if separator and scheme in ("http", "https") else ""


async def _answer(status: int, detail: str, send: Send) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
