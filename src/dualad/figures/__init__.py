"""Figures of the paper and of the report, drawn from the files of the result tree."""
