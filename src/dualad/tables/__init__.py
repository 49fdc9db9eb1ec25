"""Tables across datasets and methods.

CSV holds plain numbers for machines; Markdown, LaTeX and HTML percentages and intervals for people.
"""
