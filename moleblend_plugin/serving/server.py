"""An application at an address, until Ctrl-C: uvicorn with a socket of our own, and a clean end."""

from __future__ import annotations

import errno
import socket
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.serving.guard import is_loopback

_CONNECTIONS: Final = 512
"""Beyond these uvicorn answers 503 at once."""
_END_SECONDS: Final = 5
"""What requests get to end when the server is asked to stop."""
_BACKLOG: Final = 256


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        MoleblendError: the address is not this machine's, or the port is taken or not allowed.
    """
    where = f"--host {host} --port {port}"
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise MoleblendError(
            f"{where}: no such address ({error}): give 127.0.0.1, or one of this machine"
        ) from error
    listening = socket.socket(family, kind, number)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        remedy = {
            errno.EADDRINUSE: "name another --port, or end what listens there",
            errno.EACCES: "take a --port from 1024",
        }.get(error.errno or 0, "give 127.0.0.1, or an address of this machine")
        raise MoleblendError(f"{where} cannot be used ({error.strerror or error}): {remedy}") from error
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """Where a browser on this machine finds it."""
    port = listening.getsockname()[1]
    name = host if is_loopback(host) else socket.gethostname()
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def run_server(app: FastAPI, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM; then end within seconds, whatever is worked on."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # its lines would hold molecules
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_END_SECONDS,
        ws="none",
    )
    server = uvicorn.Server(config)
    ordinary = server.handle_exit

    def stop(number: int, frame: Any) -> None:  # noqa: ANN401  of the signal module
        app.state.stop()
        ordinary(number, frame)

    server.handle_exit = stop
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises the signal again when it has ended
        pass
    finally:
        listening.close()
