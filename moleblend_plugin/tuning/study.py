"""The study on disk: one SQLite file, resumed only with the data and options that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.tuning.space import Space

NAME: Final = "moleblend"
_BEGUN: Final = "begun_with"
_WAIT_SECONDS: Final = 60
"""How long SQLite waits for another reader of the file, such as optuna-dashboard."""


@contextmanager
def opened(path: Path, rises: bool) -> Iterator[Study]:
    """The study of a file, made where it is missing.

    Args:
        path: the file.
        rises: whether more of its score is better.

    Raises:
        MoleblendError: the file is no study, or damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _WAIT_SECONDS}})
        study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction="maximize" if rises else "minimize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise MoleblendError(
            f"{path} is no study that can be resumed ({reason}): start again with --overwrite"
        ) from error
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def check_begun(study: Study, asked: FitOptions, space: Space, data: dict[str, str]) -> None:
    """Refuse to resume with other data or options than those of the start; a new study keeps them.

    Raises:
        MoleblendError: names what differs.
    """
    given = json.loads(json.dumps(_begun_with(asked, space, data)))
    before = study.user_attrs.get(_BEGUN)
    if before is None:
        study.set_user_attr(_BEGUN, given)
        return
    remedy = "name another folder by --out, or start again with --overwrite"
    for name, value in given["options"].items():
        if before["options"].get(name) != value:
            raise MoleblendError(
                f"the study was begun with {name} = {before['options'].get(name)!r}, not {value!r}: {remedy}"
            )
    for name, sha256 in data.items():
        if before["data"].get(name) != sha256:
            raise MoleblendError(f"{name} is not what the study was begun with: {remedy}")
    if before["space"] != given["space"]:
        raise MoleblendError(f"the study was begun with another version, which searches otherwise: {remedy}")


def _begun_with(asked: FitOptions, space: Space, data: dict[str, str]) -> dict[str, Any]:
    return {
        "options": asdict(asked),
        "data": data,
        "space": {name: str(each) for name, each in space.items()},
    }
