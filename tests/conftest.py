"""Tests run on the CPU, as in continuous integration, also where there are GPUs.

Several processes would want as many of them. Set CUDA_VISIBLE_DEVICES for tests/models, which can use one.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
