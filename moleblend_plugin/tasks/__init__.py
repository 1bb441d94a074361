"""The room that wires the others for a trainer. :mod:`moleblend_plugin.tasks.registered` registers it all."""
