"""A client of an application in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving.models import trusting_model

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from moleblend_plugin.serving.served_model import ServedModel


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trusting_model(tmp_path_factory.mktemp("served") / "model.moleblend")


@pytest.fixture(scope="session")
def served(model_file: Path) -> ServedModel:
    from moleblend_plugin.serving.limits import Limits
    from moleblend_plugin.serving.served_model import load_served

    return load_served(model_file, device="cpu", limits=Limits(max_rows=20, max_bytes=20_000, max_text=300))


@pytest.fixture(scope="session")
def client(served: ServedModel) -> Iterator[TestClient]:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of httpx, for its successor
        from fastapi.testclient import TestClient

    from moleblend_plugin.serving.app import create_app

    with TestClient(create_app(served), base_url="http://127.0.0.1:8000") as client:
        yield client
