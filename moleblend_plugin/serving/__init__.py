"""A model behind HTTP: a local page for people, JSON and CSV for programs (extra ``serve``)."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.serving.app import create_app
    from moleblend_plugin.serving.limits import Limits
    from moleblend_plugin.serving.served_model import ServedModel, load_served

__all__ = ["Limits", "ServedModel", "create_app", "load_served"]

__getattr__ = exports(__name__, __file__)
