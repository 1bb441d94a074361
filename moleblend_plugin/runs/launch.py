"""``unicore-train`` everywhere: Uni-Core's own where it is installed, else the embedded trainer.

Standard library only, and no import of this package before the choice: Uni-Core refuses a ``--user-dir``
whose name is imported already. ``tools/unicore_train_shim.py`` therefore runs this file by its path.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
from pathlib import Path

PACKAGE = "moleblend_plugin"
SAID = "MOLEBLEND_TRAINER_SAID"
"""Variable with the process that has said which trainer runs, and tells errors (``unicore_command.py``)."""
OWN_FOLDER = Path(__file__).resolve().parents[1]


def has_unicore() -> bool:
    """Whether Uni-Core and its command line can be imported (without importing them)."""
    return all(importlib.util.find_spec(name) is not None for name in ("unicore", "unicore_cli"))


def with_user_dir(argv: list[str]) -> list[str]:
    """The command with ``--user-dir moleblend_plugin`` spelt as a folder, which is what Uni-Core wants.

    A folder of that name in the working directory stays as it is. A command without ``--user-dir`` gets
    this plugin's, so that it means the same on both hosts.
    """
    if not any(word.split("=")[0] == "--user-dir" for word in argv):
        return [*argv, "--user-dir", str(OWN_FOLDER)]
    if Path(PACKAGE).is_dir():
        return argv
    spelt = []
    for before, word in zip(["", *argv], argv, strict=False):
        if before == "--user-dir" and word == PACKAGE:
            word = str(OWN_FOLDER)
        elif word == f"--user-dir={PACKAGE}":
            word = f"--user-dir={OWN_FOLDER}"
        spelt.append(word)
    return spelt


def own_error(error: BaseException | None) -> BaseException | None:
    """The plugin's own error in ``error`` or behind it: Uni-Core replaces some by a vaguer one."""
    kind = getattr(sys.modules.get(f"{PACKAGE}.errors"), "MoleblendError", None)
    while error is not None and not (kind and isinstance(error, kind)):
        error = error.__cause__ or error.__context__
    return error


def _run_unicore() -> int:
    """Run Uni-Core's command line; the plugin's own errors are one line, as under the embedded trainer."""
    try:
        importlib.import_module("unicore_cli.train").cli_main()
    except Exception as error:
        reason: object = own_error(error)
        if reason is None and isinstance(error, FloatingPointError):
            reason = f"the model has diverged: {error}; lower --lr or set --clip-norm, or look at the data"
        if reason is None:
            raise
        sys.stderr.write(f"error: {reason}\n")
        del reason
    else:
        return 0
    # Uni-Core's thread pool ends here: left to the interpreter's end, it finds its files closed and says so.
    gc.collect()
    return 2


def main() -> int:
    """Run the process's command on the trainer that is there, and say first which one it is."""
    write = sys.stdout.write
    if importlib.util.find_spec(PACKAGE) is None:  # run from a checkout that is not installed
        sys.path.append(str(OWN_FOLDER.parent))
    if has_unicore():
        write("unicore-train: running Uni-Core's own trainer\n")
        os.environ[SAID] = str(os.getpid())
        sys.stdout.flush()
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
            del sys.modules[name]  # Uni-Core imports the plugin itself, once
        sys.argv[1:] = with_user_dir(sys.argv[1:])
        return _run_unicore()
    write("unicore-train: Uni-Core is not installed; running moleblend_plugin's embedded trainer\n")
    sys.stdout.flush()
    code: int = importlib.import_module(f"{PACKAGE}.trainer.main").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
