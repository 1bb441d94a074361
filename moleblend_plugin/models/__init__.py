"""Networks from built parts: relation encoders, Transformer, heads, views. No trainer in this room."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.models.blend.config import ModelConfig
    from moleblend_plugin.models.blend.moleblend import MoleBlend, MoleBlendEncoder
    from moleblend_plugin.models.property.gin import GinConfig, GinProperty
    from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet
    from moleblend_plugin.models.structure.config import StructureConfig
    from moleblend_plugin.models.structure.network import BlendedStructureAware, StructureAware

__all__ = [
    "BlendedStructureAware",
    "GinConfig",
    "GinProperty",
    "HeadConfig",
    "ModelConfig",
    "MoleBlend",
    "MoleBlendEncoder",
    "PropertyConfig",
    "PropertyNet",
    "StructureAware",
    "StructureConfig",
]

__getattr__ = exports(__name__, __file__)
