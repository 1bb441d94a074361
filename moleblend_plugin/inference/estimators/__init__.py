"""What stands behind the scikit-learn estimators: fitting, files, label arrays."""
