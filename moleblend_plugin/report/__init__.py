"""Curves of runs and their page."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.report.run_log import RunLog, read_run_log

__all__ = [
    "RunLog",
    "read_run_log",
]

__getattr__ = exports(__name__, __file__)
