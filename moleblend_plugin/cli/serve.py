"""``moleblend serve``: a model behind a local page and an HTTP interface."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._console import print_notes

AllowHost = Annotated[
    list[str] | None,
    typer.Option(help="A further name in the Host header, as of a proxy. May be given again."),
]
Interval = Annotated[
    float | None,
    typer.Option(
        "--interval",
        help="Level of intervals and prediction sets [default: 0.9 where the model has them].",
        show_default=False,
    ),
]


def serve(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Folder of a fit or a run, checkpoint, model of an estimator, or a name."),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than 127.0.0.1, others can use it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    allow_host: AllowHost = None,
    interval: Interval = None,
    conformers: shared.ConformersOption = None,
    batch_size: shared.BatchSize = 64,
    device: shared.Device = "auto",
    use_ema: shared.UseEma = False,
    max_atoms: shared.MaxAtoms = 512,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of one request.")] = 1000,
    max_bytes: Annotated[int, typer.Option(min=1, help="Bytes of one request.")] = 4 << 20,
) -> None:
    """Serve a model on a page of this machine: paste SMILES or drop a table, see predictions with intervals.

    The page needs nothing from elsewhere. Programs send a JSON list of SMILES or a CSV to POST /predict,
    which /docs describes; GET /health says which model it is. Needs the extra serve. Ctrl-C stops it.

    \b
    moleblend serve model/
    curl http://127.0.0.1:8000/predict --data-binary @new.csv -H "Content-Type: text/csv"
    """
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.inference.run_folder import find_checkpoint

    find_checkpoint(checkpoint)
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MoleblendError(
            f"moleblend serve needs the package {error.name}: pip install 'moleblend_plugin[serve]'"
        ) from error
    from moleblend_plugin.chem.reading import pinned
    from moleblend_plugin.serving.app import create_app
    from moleblend_plugin.serving.guard import Hosts, is_loopback
    from moleblend_plugin.serving.limits import Limits
    from moleblend_plugin.serving.served_model import load_served
    from moleblend_plugin.serving.server import listen, run_server, url_of
    from moleblend_plugin.stopping import termination_as_exit

    listening = listen(host, port)
    try:
        model = load_served(
            checkpoint,
            device=device,
            use_ema=use_ema,
            interval=interval,
            conformers=conformers,
            batch_size=batch_size,
            max_atoms=max_atoms,
            limits=Limits(max_rows, max_bytes),
        )
    except BaseException:
        listening.close()
        raise
    model.warm_up()
    print_notes(model.notes)
    if not is_loopback(host):
        print(
            f"warning: --host {host}: whoever reaches this machine over the network can use the model, "
            "without a password; --host 127.0.0.1 keeps it to this machine",
            file=sys.stderr,
        )
    print(f"serving    {model.name}\nopen       {url_of(listening, host)}\nstop       Ctrl-C", flush=True)
    with termination_as_exit(), pinned():  # RDKit's switches are the process's: set for both threads at once
        run_server(create_app(model, Hosts(host, tuple(allow_host or ()))), listening)
    print("stopped", flush=True)
