"""A cell's process and those that it starts, as one group that can be ended together."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any


def apart() -> dict[str, Any]:
    """Arguments of ``subprocess.Popen`` that put a process at the head of a group of its own."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def leads_group() -> bool:
    """Whether this process is the head of a group; never on Windows, which does not say."""
    return os.name != "nt" and os.getpgrp() == os.getpid()


def end_group(head: int, now: bool) -> None:
    """End a group.

    Args:
        head: process id of its head.
        now: at once, else ask; Windows knows only the first.
    """
    if os.name == "nt":
        with suppress(OSError):
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(head)], capture_output=True, check=False)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(head, signal.SIGKILL if now else signal.SIGTERM)
