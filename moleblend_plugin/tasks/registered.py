"""Importing this module registers every task, model and loss with the trainer."""

from moleblend_plugin.tasks.pretrain import loss as pretrain_loss
from moleblend_plugin.tasks.pretrain import model as pretrain_model
from moleblend_plugin.tasks.pretrain import task as pretrain_task
from moleblend_plugin.tasks.property import loss as property_loss
from moleblend_plugin.tasks.property import model as property_model
from moleblend_plugin.tasks.property import task as property_task
from moleblend_plugin.tasks.structure import loss as structure_loss
from moleblend_plugin.tasks.structure import model as structure_model
from moleblend_plugin.tasks.structure import task as structure_task

PRETRAIN = (pretrain_loss, pretrain_model, pretrain_task)
PROPERTY = (property_loss, property_model, property_task)
STRUCTURE = (structure_loss, structure_model, structure_task)
