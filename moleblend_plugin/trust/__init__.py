"""How far to trust a prediction: intervals, calibrated probabilities, prediction sets, a model's domain."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.trust.calibrating import calibrate
    from moleblend_plugin.trust.calibration import expected_calibration_error, fit_platt
    from moleblend_plugin.trust.classes import class_p_values, multiclass_p_values, prediction_sets
    from moleblend_plugin.trust.conformal import conformal_quantile, p_values, rows_needed
    from moleblend_plugin.trust.domain import Domain, Neighbours, nearest, packed_ecfp4
    from moleblend_plugin.trust.model import Calibration, HeldOut, Trust
    from moleblend_plugin.trust.temperature import fit_temperature, top_class_calibration_error

__all__ = [
    "Calibration",
    "Domain",
    "HeldOut",
    "Neighbours",
    "Trust",
    "calibrate",
    "class_p_values",
    "conformal_quantile",
    "expected_calibration_error",
    "fit_platt",
    "fit_temperature",
    "multiclass_p_values",
    "nearest",
    "p_values",
    "packed_ecfp4",
    "prediction_sets",
    "rows_needed",
    "top_class_calibration_error",
]

__getattr__ = exports(__name__, __file__)
