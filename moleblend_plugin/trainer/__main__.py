"""``python -m moleblend_plugin.trainer`` is ``moleblend-train``."""

import sys

from moleblend_plugin.trainer.main import main

if __name__ == "__main__":
    sys.exit(main())
