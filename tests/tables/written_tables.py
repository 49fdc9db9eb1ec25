"""Written tables read back: the CSV's records and the cells of the Markdown."""

import csv


def records(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def body(path):
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
