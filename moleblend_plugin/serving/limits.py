"""What one request, and all that wait together, may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server.

    Attributes:
        max_rows: rows of one request.
        max_bytes: bytes of its body.
        max_text: letters of one SMILES; RDKit's memory grows with them before atoms can be counted.
        max_waiting: requests that wait for the network, beside the one that it works on.
        body_seconds: time that a client may take to send a body.
    """

    max_rows: int = 1000
    max_bytes: int = 4 << 20
    max_text: int = 10_000
    max_waiting: int = 64
    body_seconds: float = 30.0
