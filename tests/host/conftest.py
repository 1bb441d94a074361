"""The toy plugin's training commands."""

from tests.trainer.conftest import _no_host_requested, train  # noqa: F401
