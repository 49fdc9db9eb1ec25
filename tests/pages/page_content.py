"""What is in a page."""

import json
import re
from html.parser import HTMLParser


class Structure(HTMLParser):
    """The elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def with_class(self, name: str) -> int:
        return sum(name in (attributes.get("class") or "").split() for _, attributes in self.tags)


def values_in(page: str) -> dict:
    """What the page's script computes with."""
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[1])
