"""Tests run on the CPU, as in continuous integration, also where there are GPUs.

Several processes would want as many of them. Set CUDA_VISIBLE_DEVICES for what can use one: pytest tests/models.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
