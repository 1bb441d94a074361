"""Moved: ``moleblend_plugin.tasks.pretrain.loss``."""

from moleblend_plugin.lazy import moved

moved(__name__, "moleblend_plugin.tasks.pretrain.loss")
