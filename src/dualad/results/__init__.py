"""Finished results, read back."""
