"""The embedded trainer: the plugin's tasks on Lightning Fabric, with Uni-Core's flags, meaning and files.

Read it in the order in which a run passes through it: ``main`` (start), ``options`` and ``flags`` (the
command), ``train_loop`` (epochs), ``trainer`` (one update), ``validation``, ``checkpoint`` (files).
"""
