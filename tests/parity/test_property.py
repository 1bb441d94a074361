"""The fine-tuning network as a user builds it meets the published implementation's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.models.blend.heads import Readout
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet, encoder_part

from .conftest import Golden

pytestmark = pytest.mark.golden


@pytest.mark.parametrize("readout", ["cls", "sum"])
def test_property_network(golden: Golden, readout: Readout) -> None:
    """From stored records by input mode "both" to the logits."""
    inputs = [unblended(featurize(record), "both") for record in golden.records]
    samples = [sample | {"index": np.array(row)} for row, sample in enumerate(inputs)]
    head = {
        name.replace("param:encoder.proj_out.", "head.").replace("out_proj", "out"): value
        for name, value in golden.finetune.items()
        if name.startswith("param:")
    }
    outputs = head["head.out.bias"].numel()
    config = replace(golden.imported.config, attention_dropout=0.0)
    model = PropertyNet(config, PropertyConfig(outputs, "regression", HeadConfig(readout))).eval()
    scale = {"target_mean": torch.zeros(outputs), "target_std": torch.ones(outputs)}
    model.load_state_dict(encoder_part(golden.imported.state) | head | scale)
    with torch.no_grad():
        logits = model(**collate(samples)["net_input"])
    torch.testing.assert_close(logits, golden.finetune[f"logits_{readout}"], rtol=1e-4, atol=1e-5)
