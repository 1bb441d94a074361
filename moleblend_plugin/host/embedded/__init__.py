"""Moved: ``moleblend_plugin.trainer``. ``host.embedded.main`` stays importable for one release."""
