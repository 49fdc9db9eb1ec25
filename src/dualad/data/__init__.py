"""Datasets: readers for their layouts, the HDF5 cache, and downloads."""

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.data.download import DOWNLOADS, Download, download_dataset
from dualad.data.images import load_image
from dualad.data.records import Listing, Record
from dualad.data.registry import READERS, dataset_root, list_records, parse_entry

__all__ = [
    "DOWNLOADS",
    "READERS",
    "Dataset",
    "Download",
    "Listing",
    "Record",
    "build_dataset",
    "dataset_root",
    "download_dataset",
    "list_records",
    "load_image",
    "parse_entry",
]
