"""What a benchmark is: configuration file, recipes, cells."""
