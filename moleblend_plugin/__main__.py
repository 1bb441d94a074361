"""``python -m moleblend_plugin`` is ``moleblend``."""

from moleblend_plugin.cli.main import main

if __name__ == "__main__":
    main()
