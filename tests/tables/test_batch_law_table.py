import csv

import numpy as np

from dualad.paper.batch_law import paper_law
from dualad.results.batch_search import Optimum
from dualad.tables.batch_law import batch_law_table
from dualad.tables.formats import write_table


def test_the_table_puts_our_law_beside_the_papers(tmp_path):
    law = paper_law()
    noise = np.random.default_rng(0).normal(size=5)
    points = [
        Optimum(f"d{n}", n, int(law(n) + 3 * e))
        for n, e in zip((40, 262, 501, 1800, 5856), noise, strict=True)
    ]
    written = write_table(tmp_path / "out" / "law", batch_law_table(points))
    with written[0].open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["law"], r["regime"]) for r in rows] == [
        ("paper", "small"),
        ("paper", "large"),
        ("ours", "small"),
        ("ours", "large"),
    ]
    assert rows[1]["log_slope"] == "444.1692" and rows[1]["below_one"] == "from 73969.7"
    assert float(rows[2]["slope_se"]) > 0 and rows[3]["slope"] == ""
    assert "-0.0045" in written[1].read_text() and "not refitted" in written[3].read_text()
    assert [path.suffix for path in written] == [".csv", ".md", ".tex", ".html"]
    before = [path.read_bytes() for path in written]
    write_table(tmp_path / "out" / "law", batch_law_table(points))
    assert [path.read_bytes() for path in written] == before
