"""The embedded trainer: the plugin's tasks on Lightning Fabric, with Uni-Core's flags, meaning and files.

Read it in the order in which a run passes through it: ``main`` (start), ``command`` (flags, options),
``loop.train_loop`` (epochs), ``loop.trainer`` (one update), ``loop.validation``, ``checkpoints`` (files).
"""
