from paper_results import printed

from dualad.paper.algorithm_1 import search_batch_size
from dualad.results.batch_search import write_batch_search
from dualad.tables.batch_search import batch_search_table


def test_the_table_has_the_papers_examples_and_ours(tmp_path):
    ours = search_batch_size(100, lambda size: 0.5 + size / 1000)
    folder = tmp_path / "digits" / "batch_search"
    write_batch_search(ours, folder / "evaluations.csv", folder / "result.json")
    table = batch_search_table([folder / "result.json"])
    for source, name in (("paper, Table 4", "Table 4"), ("paper, Table 5", "Table 5")):
        rows = [r for r in table.records if r["source"] == source]
        assert [(r["batch_size"], r["auroc"]) for r in rows] == printed(name)
        assert [r["batch_size"] for r in rows if r["best"]] == [98 if name[-1] == "4" else 364]
    own = [r for r in table.records if r["source"] == "ours"]
    assert {r["dataset"] for r in own} == {"digits"} and own[0]["batch_size"] == 50
    assert len(table.rows) == len(table.records) == 5 + 12 + len(ours.evaluations)
