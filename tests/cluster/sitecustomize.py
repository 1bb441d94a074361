"""Of the processes of the tests' cluster: some SMILES end, stop or slow the process that converts them."""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

CONVERT = "moleblend_plugin.chem.convert"


class Poisoning(importlib.abc.MetaPathFinder):
    """Changes one module once it is imported."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != CONVERT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def poisoned(module: ModuleType) -> None:
            execute(module)
            module._parse = poisoned_parse(module._parse)

        spec.loader.exec_module = poisoned
        return spec


def poisoned_parse(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parsed(row: Any) -> Any:
        if row.text == "C[Db]":
            os.kill(os.getpid(), signal.SIGSEGV)
        if row.text == "C[Sg]":
            time.sleep(600)
        if row.text == "C[Bh]":
            time.sleep(1)
        return parse(row)

    return parsed


sys.meta_path.insert(0, Poisoning())
