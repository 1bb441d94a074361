"""MoleBLEND for Uni-Core: pretraining and fine-tuning on blended 2D/3D atom relations.

``unicore-train --user-dir moleblend_plugin`` imports this package, and it then registers its tasks,
models and losses. A plain ``import moleblend_plugin`` stays light and registers nothing.
"""

from moleblend_plugin.host.detect import trainer_in_charge

__version__ = "0.1.0"

if trainer_in_charge() is not None:
    from moleblend_plugin import tasks as tasks
