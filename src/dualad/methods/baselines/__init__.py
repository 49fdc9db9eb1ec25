"""The paper's eleven baselines, and the features and flows that they stand on."""
