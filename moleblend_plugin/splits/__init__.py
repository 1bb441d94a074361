"""Division into train, valid and test: methods, rows given by a file, and reports on leaks."""
