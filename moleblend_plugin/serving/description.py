"""What the OpenAPI page says of the routes, beside their docstrings."""

from __future__ import annotations

from typing import Any, Final

from moleblend_plugin.serving.results import Predictions, Problem

DESCRIPTION: Final = (
    "Predictions of one model. Send molecules to POST /predict; every row comes back, with a value or with "
    "the reason why there is none. Requests wait in order for the one network."
)
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "example": ["CCO", "c1ccccc1"],
            },
            "text/csv": {
                "schema": {"type": "string", "description": "A table with a column of SMILES; TSV, SDF and "
                           "lists of SMILES are read too."},
                "example": "name,smiles\nethanol,CCO\n",
            },
        },
    }
}  # fmt: skip
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    403: {"model": Problem, "description": "From a page of another site, or by a name that is not its own."},
    413: {"model": Problem, "description": "More rows or bytes than one request may have."},
    415: {"model": Problem, "description": "A form, which is not read."},
    422: {"model": Problem, "description": "The body as a whole cannot be read."},
    503: {"model": Problem, "description": "As many requests wait as may, or the server stops."},
}

ANSWERS: Final[dict[str, Any]] = {
    "model": Predictions,
    "content": {"text/csv": {"schema": {"type": "string"}}},
    "description": "Every row, in order; CSV where Accept asks for it.",
}

DRAWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/svg+xml": {}}, "description": "The drawing."},
    413: {"model": Problem, "description": "A SMILES too long to draw."},
    422: {"model": Problem, "description": "No molecule."},
}
