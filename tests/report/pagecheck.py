"""What a page must hold to: tags that close, ids that occur once."""

from html.parser import HTMLParser


class PageChecker(HTMLParser):
    """Open tags, and every id."""

    _void = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.listed: list[str] = []

    @property
    def ids(self) -> set[str]:
        assert len(self.listed) == len(set(self.listed)), sorted(self.listed)
        return set(self.listed)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.listed += [value for name, value in attrs if name == "id" and value]
        if tag not in self._void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.listed += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
