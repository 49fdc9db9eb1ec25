"""A finished detector away from its results: its files, the images given to it, and exports."""
