"""The FastAPI application: routes, their errors, and the files of the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from moleblend_plugin.chem.draw import draw_svg
from moleblend_plugin.entry import one_line
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.serving.atoms import AtomContributions, ExplainedMolecule, explain_atoms
from moleblend_plugin.serving.bodies import Body, TooLarge
from moleblend_plugin.serving.description import ANSWERS, BODY, DESCRIPTION, DRAWN, PROBLEMS
from moleblend_plugin.serving.guard import Guard, Hosts, too_many_bytes
from moleblend_plugin.serving.limits import Limits
from moleblend_plugin.serving.results import Health
from moleblend_plugin.serving.served_model import ServedModel
from moleblend_plugin.serving.worker import Busy, GivenUp, Worker
from moleblend_plugin.version import __version__

PAGES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
"""Files of ``pages/`` by path. They hold nothing that a user typed: the page's script adds it as text."""

_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
_NAMES: Final = {
    "text/csv": "body.csv",
    "text/tab-separated-values": "body.tsv",
    "chemical/x-daylight-smiles": "body.smi",
    "chemical/x-mdl-sdfile": "body.sdf",
}
"""What a body without a name is called, so that its type has a say where its content leaves a choice."""

_DRAWN: Final = 2000
"""Letters of a SMILES that is drawn."""
_DRAWINGS: Final = 256
"""Drawings that may wait; a browser asks for some at a time."""
_SIZE: Final = (240, 170)


class _Refused(Exception):
    """An answer other than 200, in one line."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class _Routes:
    """What the routes do, with the model and the threads that they share."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.network = Worker("moleblend-network", model.limits.max_waiting + 1)
        self.drawing = Worker("moleblend-drawing", _DRAWINGS)

    async def health(self) -> Health:
        """The model, and how many requests wait for it."""
        model, predictor = self.model, self.model.predictor
        return Health(
            "ok",
            model.name,
            predictor.kind,
            list(predictor.target_names),
            predictor.n_members,
            None if predictor.trust is None else len(predictor.trust.domain.rows),
            model.beside.level,
            list(model.notes),
            model.limits.max_rows,
            model.limits.max_bytes,
            self.network.taken,
            __version__,
        )

    async def predict(
        self, request: Request, smiles_column: str = "", name: str = "", csv: bool = False
    ) -> Response:
        """Predict a list of SMILES (JSON) or a file (CSV, TSV, SDF or a list of SMILES).

        The answer is JSON, or with `Accept: text/csv` the CSV that `moleblend predict` writes.
        `smiles_column` names the column of SMILES in a table; `name` is what row ids call the file;
        `csv=true` adds the CSV to the JSON.
        """
        type_ = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if type_ in _FORMS:
            raise _Refused(
                415,
                f"{type_} is a form: send the file itself, as in curl --data-binary @molecules.csv -H "
                "'Content-Type: text/csv'",
            )
        with self.network.place():
            content = await _read(request, self.model.limits)
            body = Body(content, type_ == "application/json", name or _NAMES.get(type_, ""), smiles_column)
            table = await self.network.run(lambda check: self.model.predict(body, check), _gone(request))
        if "text/csv" in request.headers.get("accept", ""):
            text = await asyncio.to_thread(table.to_csv)
            saved = {"content-disposition": 'attachment; filename="predictions.csv"'}
            return Response(text, media_type="text/csv; charset=utf-8", headers=saved)
        return JSONResponse(await asyncio.to_thread(table.to_plain, csv))

    async def draw(self, request: Request, smiles: str, dark: bool = False) -> Response:
        """A drawing of a molecule as SVG, for light or dark pages."""
        _drawable(smiles)

        def work(check: Callable[[], None]) -> str | None:
            return draw_svg(smiles, *_SIZE, dark=dark)

        with self.drawing.place():
            svg = await self.drawing.run(work, _gone(request))
        if svg is None:
            raise _Refused(422, "no molecule: RDKit cannot draw it")
        return _picture(svg)

    async def explain(self, request: Request, smiles: str, target: str = "") -> AtomContributions:
        """What each heavy atom of a molecule adds to the prediction, by integrated gradients.

        `target` may be left out where the model predicts one; of several classes it names one, and the
        predicted class is explained without it.
        """
        return (await self._explained(request, smiles, target)).to_plain()

    async def draw_explanation(
        self, request: Request, smiles: str, target: str = "", dark: bool = False
    ) -> Response:
        """The same as a drawing (SVG): atoms that raise the prediction are orange, others blue."""
        svg = (await self._explained(request, smiles, target)).to_svg(dark)
        if not svg:
            raise _Refused(422, "no molecule: RDKit cannot draw it")
        return _picture(svg)

    async def _explained(self, request: Request, smiles: str, target: str) -> ExplainedMolecule:
        _drawable(smiles)

        def work(check: Callable[[], None]) -> ExplainedMolecule:
            return explain_atoms(self.model, smiles, target)

        with self.network.place():
            return await self.network.run(work, _gone(request))

    def stop(self) -> None:
        """Give up all work."""
        self.network.stop()
        self.drawing.stop()

    def close(self) -> None:
        """End the threads."""
        self.network.close()
        self.drawing.close()


def create_app(model: ServedModel, hosts: Hosts | None = None) -> FastAPI:
    """The application, for a server or a test client.

    Its ``state.stop`` gives up all work; a server calls it when it is asked to stop.

    Args:
        model: what answers.
        hosts: names under which it does.
    """
    routes = _Routes(model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        routes.close()

    app = FastAPI(
        title="moleblend serve",
        description=DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for path, (file, media_type) in PAGES.items():
        page = _page(file, media_type)
        app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/health", routes.health, response_model=Health, summary="The model and its queue")
    app.add_api_route(
        "/predict",
        routes.predict,
        methods=["POST"],
        response_model=None,
        responses={200: ANSWERS, **PROBLEMS},
        openapi_extra=BODY,
        summary="Predictions of molecules",
    )
    app.add_api_route(
        "/drawing", routes.draw, response_model=None, responses=DRAWN, summary="Drawing of a molecule"
    )
    app.add_api_route(
        "/explanation",
        routes.explain,
        response_model=AtomContributions,
        responses={number: PROBLEMS[number] for number in (403, 413, 422, 503)},
        summary="What each atom adds to a prediction",
    )
    app.add_api_route(
        "/explanation.svg",
        routes.draw_explanation,
        response_model=None,
        responses=DRAWN | {503: PROBLEMS[503]},
        summary="The same as a drawing",
    )
    _add_errors(app, model.limits)
    app.add_middleware(Guard, hosts=hosts or Hosts(), limits=model.limits)
    app.state.stop = routes.stop
    return app


def _add_errors(app: FastAPI, limits: Limits) -> None:
    """One line of JSON for everything that is no result."""

    async def unreadable(_: Request, error: Exception) -> Response:
        detail = one_line(error).replace("--smiles-column", "smiles_column")
        return _problem(413 if isinstance(error, TooLarge) else 422, detail)

    async def invalid(_: Request, error: Any) -> Response:  # noqa: ANN401  FastAPI's
        first = error.errors()[0]
        return _problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    async def refused(_: Request, error: Any) -> Response:  # noqa: ANN401
        return _problem(error.status, error.detail)

    async def busy(_: Request, error: Exception) -> Response:
        detail = f"{limits.max_waiting} requests wait already: try again in a few seconds"
        return _problem(503, detail, {"retry-after": "5"})

    async def given_up(_: Request, error: Exception) -> Response:
        return _problem(503, "the server stops: start it again")

    for kind, handler in (
        (MoleblendError, unreadable),
        (RequestValidationError, invalid),
        (_Refused, refused),
        (Busy, busy),
        (GivenUp, given_up),
    ):
        app.add_exception_handler(kind, handler)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, status, headers)


def _drawable(smiles: str) -> None:
    if len(smiles) > _DRAWN:
        raise _Refused(413, f"a SMILES of {len(smiles):,} letters is not drawn: {_DRAWN:,} at most")


def _picture(svg: str) -> Response:
    only_style = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(svg, media_type="image/svg+xml", headers=only_style)


def _page(file: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = files("moleblend_plugin.serving").joinpath("pages", file).read_bytes()

    async def page() -> Response:
        return Response(content, media_type=media_type)

    return page


async def _read(request: Request, limits: Limits) -> bytes:
    """The body, whatever it says of its length."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.max_bytes:
                    raise TooLarge(too_many_bytes(limits))
                parts.append(part)
    except TimeoutError:
        raise _Refused(408, f"the body took longer than {limits.body_seconds:g} s: send it again") from None
    return b"".join(parts)


def _gone(request: Request) -> Callable[[], Awaitable[bool]]:
    async def is_gone() -> bool:
        return bool(await request.is_disconnected())

    return is_gone
