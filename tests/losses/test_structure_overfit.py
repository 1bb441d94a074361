"""Acceptance test 5: the objective can be solved; and the signs of collapse stay quiet on the way there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from moleblend_plugin.losses.structure import StructureLossConfig, structure_terms, weigh_structure
from moleblend_plugin.metrics.collapse import alarms, anchor_perplexity, effective_rank, spread
from moleblend_plugin.models.structure.network import StructureAware
from tests.viewed import SIZES, SMALL, VIEWS, batch_of, viewed

STEPS = 250


@pytest.mark.long
def test_64_molecules_are_told_apart_by_any_view() -> None:
    """L_con < 0.05 and top-1 retrieval 1.0 without augmentation and dropout."""
    torch.manual_seed(0)
    batch = batch_of(viewed([3 + n % 5 for n in range(64)]))
    sizes = replace(SIZES, code_dim=64, contrast_dim=64, view_dim=64, image_width=8)
    model = StructureAware(replace(SMALL, encoder_embed_dim=32), sizes, VIEWS).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0)
    config = StructureLossConfig()
    for step in range(STEPS):
        output = model(views=batch["views"], **batch["net_input"])
        found = structure_terms(output, VIEWS, config)
        loss = weigh_structure(found.terms, config, share=min(step / 50, 1.0))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        hits = [float(term.score / term.counted) for term in found.retrieval.values()]

        if float(found.terms["contrast"].loss.detach()) < 0.05 and min(hits) == 1:
            break
    assert float(found.terms["contrast"].loss.detach()) < 0.05
    assert hits == [1.0, 1.0, 1.0]
    signs = {f"spread_{view}": spread(output.codes.detach()[:, v]) for v, view in enumerate(VIEWS)}
    signs["effective_rank"] = effective_rank(output.unified.detach())
    signs["anchor_perplexity"] = anchor_perplexity(output.weights.detach())
    assert alarms(signs, 64, sizes.code_dim, sizes.anchors) == []
