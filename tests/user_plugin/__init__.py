"""A user's own plugin: a loss that extends the one of moleblend_plugin. Give it as --user-dir."""

from moleblend_plugin.host import log_scalar, register_loss
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss


@register_loss("pretrain_per_atom")
class PerAtomLoss(MoleblendPretrainLoss):
    """The same objective; large molecules weigh more, and the mean size is logged."""

    def forward(self, model, sample, reduce=True):
        loss, molecules, logged = super().forward(model, sample, reduce)
        atoms = (sample["net_input"]["atom_codes"][..., 0] > 0).sum() / molecules
        logged["atoms"] = atoms * molecules  # a number that sums over batches and processes
        return loss * atoms, molecules, logged | {"loss": logged["loss"] * atoms}

    @staticmethod
    def reduce_metrics(logging_outputs, split="train"):
        MoleblendPretrainLoss.reduce_metrics(logging_outputs, split)
        molecules = sum(output["sample_size"] for output in logging_outputs)
        atoms = sum(float(output["atoms"]) for output in logging_outputs)
        log_scalar("mean_atoms", atoms / molecules, molecules, round=4)
