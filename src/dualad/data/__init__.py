"""Datasets: readers for their layouts, the HDF5 cache, downloads, plan and split."""
