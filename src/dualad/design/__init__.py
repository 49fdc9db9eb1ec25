"""What is to be run: parameters, families, experiments."""
