"""``moleblend``: one command, one file each. Heavy imports stay inside the commands, for a quick --help."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from moleblend_plugin.cli.anchors import anchors
from moleblend_plugin.cli.bench import bench
from moleblend_plugin.cli.build import build
from moleblend_plugin.cli.curves import curves
from moleblend_plugin.cli.doctor import doctor
from moleblend_plugin.cli.embed import embed
from moleblend_plugin.cli.explain import explain
from moleblend_plugin.cli.export import export
from moleblend_plugin.cli.fit import fit
from moleblend_plugin.cli.images import images
from moleblend_plugin.cli.import_official import import_official
from moleblend_plugin.cli.inspect import inspect
from moleblend_plugin.cli.join import join
from moleblend_plugin.cli.models import models
from moleblend_plugin.cli.predict import predict
from moleblend_plugin.cli.recipe import recipe
from moleblend_plugin.cli.rerun import rerun
from moleblend_plugin.cli.score import score
from moleblend_plugin.cli.serve import serve
from moleblend_plugin.cli.splits import splits
from moleblend_plugin.cli.tune import tune
from moleblend_plugin.entry import begin, leave, one_line
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.version import __version__

app = typer.Typer(
    name="moleblend",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    *(fit, tune, predict, score, serve, explain, build, join, inspect, images, embed, splits),
    *(export, curves, rerun, recipe, anchors, bench, models, doctor, import_official),
):
    app.command()(command)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"moleblend {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Molecules in, pretrained models out: the tools around training."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's problem is one line on stderr and exit code 2, never a traceback.

    Args:
        arguments: of the command, which then returns or raises ``SystemExit``; ``None`` for those of the
            process, which then ends.
    """
    begin()
    if arguments is not None:
        _run(arguments)
        return
    try:
        _run(None)
    except SystemExit as leaving:
        if not isinstance(leaving.code, int | None):
            raise
        leave(leaving.code or 0)


def _run(arguments: list[str] | None) -> None:
    try:
        app(arguments)
    except MoleblendError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from error
    except BrokenPipeError:  # `moleblend inspect ... | head`: the reader has seen enough
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        reason = one_line(f"{place}{error.strerror or error}")
        print(f"error: {reason}; check its permissions and the free space", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
