"""The ``unicore-train`` command that ``make setup`` installs.

Runs Uni-Core's own trainer where it is installed and the embedded trainer elsewhere. The choice is made by
``moleblend_plugin/runs/launch.py``, run by its path: Uni-Core wants to import the package itself.
"""

import runpy
import sys
from pathlib import Path

LAUNCH = Path(__file__).resolve().parents[1] / "moleblend_plugin" / "runs" / "launch.py"

if __name__ == "__main__":
    sys.exit(runpy.run_path(str(LAUNCH))["main"]())
