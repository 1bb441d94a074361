"""What Uni-Core's own ``unicore-train`` says of this plugin: which trainer runs, and mistakes in one line.

Our ``unicore-train`` (``launch.py``) says both by itself. Uni-Core's own knows nothing of this plugin before
it imports it, after its own first lines, and shows every error as a traceback. Standard library only.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

from moleblend_plugin.runs.launch import SAID, own_error


def is_command() -> bool:
    """Whether Uni-Core's command line runs in this process, rather than a program that uses its library."""
    return "unicore_cli.train" in sys.modules and os.environ.get(SAID) != str(os.getpid())


def speak_up() -> None:
    """Say that Uni-Core trains, and from now on print the plugin's own errors in one line (exit code 2)."""
    sys.stdout.write("moleblend_plugin: running Uni-Core's own trainer\n")
    sys.stdout.flush()
    before = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        reason = own_error(error)
        if reason is None:
            before(kind, error, trace)
            return
        sys.stdout.flush()
        sys.stderr.write(f"error: {reason}\n")
        sys.stderr.flush()
        os._exit(2)  # an exception hook has no other way to choose the code

    sys.excepthook = report
