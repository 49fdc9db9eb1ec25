"""Text in a cell is text in every format."""

from dualad.tables.formats import Table, write_table


def written(tmp_path, *row):
    head = ["Dataset", "AUROC", "Notes"]
    table = Table("Caption.", "tab:t", head, [list(row)], 1, [dict(zip(head, row, strict=True))])
    csv, markdown, latex, html = (path.read_text() for path in write_table(tmp_path / "t", table))
    return csv, markdown.splitlines()[2], latex.splitlines()[9], html


def test_markup_in_a_name_is_text(tmp_path):
    name = r"a*b_c`d`$e$ ~~f~~ <b> &lt; \g|h"
    _, markdown, latex, html = written(tmp_path, name, "0.9", "p < 0.05 & [1]")
    assert markdown == (r"| a\*b\_c\`d\`\$e\$ \~\~f\~\~ \<b> \&lt; \\g\|h | 0.9 | p < 0.05 & [1] |")
    assert r"a*b\_c`d`\$e\$ \textasciitilde{}" in latex and r"\textbackslash{}g|h" in latex
    assert "&lt;b&gt; &amp;lt; \\g|h" in html


def test_a_name_does_not_end_its_row(tmp_path):
    csv, markdown, latex, _ = written(tmp_path, "two\nlines", "0.9", "")
    assert markdown == "| two lines | 0.9 |  |" and latex == r"two lines & 0.9 &  \\"
    assert '"two\nlines"' in csv


def test_a_name_is_no_argument_of_the_line_above(tmp_path):
    for name in ("[1cm]", "*"):
        assert written(tmp_path, name, "0.9", "")[2] == rf"{{}}{name} & 0.9 &  \\"


def test_scripts_of_all_directions_are_kept(tmp_path):
    for name in ("כתם", "خدش", "划痕"):
        assert all(name in text for text in written(tmp_path, name, "0.9", ""))
