"""Moved: ``moleblend_plugin.trainer.main``."""

import sys

from moleblend_plugin.lazy import moved
from moleblend_plugin.trainer import main

moved("moleblend_plugin.host.embedded.main", "moleblend_plugin.trainer.main")
if __name__ == "__main__":
    sys.exit(main.main())
