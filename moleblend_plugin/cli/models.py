"""``moleblend models``: the networks that ship with this package, and the card of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from moleblend_plugin.networks.registry import BundledNetwork


def models(
    name: Annotated[str | None, typer.Argument(help="Print the model card of this network.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="List them as JSON.")] = False,
) -> None:
    """List the bundled networks, or print the model card of one.

    Their names are accepted wherever a checkpoint is named: --finetune-from-model, embed, predict, score,
    bench and the estimators. 'default' stands for the default network.
    """
    from moleblend_plugin.networks.registry import bundled_networks
    from moleblend_plugin.networks.resolve import named_network, near_names

    if name is None:
        found = [_facts(network) for network in bundled_networks().values()]
        print(json.dumps(found, indent=2) if as_json else "\n\n".join(map(_lines, found)))
        return
    network = named_network(name)
    if network is None:
        hint = near_names(name) or f": choose from {', '.join(bundled_networks())}"
        raise MoleblendError(f"there is no bundled network {name!r}{hint}")
    print(json.dumps(_facts(network), indent=2) if as_json else _card(network))


def _facts(network: BundledNetwork) -> dict[str, Any]:
    """What the list shows of a network; ``damage`` is ``None`` for a sound file."""
    from moleblend_plugin.networks.registry import DEFAULT_NETWORK

    return {
        "name": network.name,
        "default": network.name == DEFAULT_NETWORK,
        "summary": network.summary,
        "arch": network.arch,
        "weights": network.weights,
        "size": network.size,
        "sha256": network.sha256,
        "file": str(network.path),
        "card": str(network.card),
        "damage": network.find_damage(),
    }


def _lines(facts: dict[str, Any]) -> str:
    lines = [
        facts["name"] + ("  (default)" if facts["default"] else ""),
        f"  {facts['summary']}",
        f"  size    {facts['size'] / 1e6:.1f} MB, {facts['weights']:,} weights, --arch {facts['arch']}",
        f"  sha256  {facts['sha256']}",
        f"  card    {facts['card']}",
    ]
    if facts["damage"]:
        lines.append(f"  damaged {facts['damage']}; install the package again")
    return "\n".join(lines)


def _card(network: BundledNetwork) -> str:
    try:
        return network.card.read_text(encoding="utf-8").rstrip()
    except OSError as error:
        raise MoleblendError(
            f"{network.card} cannot be read ({error.strerror}); install the package again"
        ) from None
