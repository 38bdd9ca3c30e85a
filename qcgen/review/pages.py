"""Pages: Jinja2 with autoescape; styles and scripts stand in the page and are allowed by their hash, no others are."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response


@dataclass(frozen=True, slots=True)
class Page:
    """A template with its styles and scripts, in order."""

    template: str
    styles: tuple[str, ...]
    scripts: tuple[str, ...]


LOGIN = Page("login.html.j2", ("base.css",), ("wire.js", "login.js"))
DESK = Page(
    "desk.html.j2",
    ("base.css", "desk.css", "help.css"),
    ("wire.js", "keys.js", "stage.js", "outbox.js", "help.js", "desk.js"),
)
GRID = Page("grid.html.j2", ("base.css", "grid.css", "help.css"), ("wire.js", "keys.js", "help.js", "grid.js"))
STATISTICS = Page("statistics.html.j2", ("base.css", "statistics.css"), ("wire.js",))


def show(page: Page, facts: Mapping[str, object], *, status: int = 200) -> Response:
    """The page as an answer with its own content policy."""
    styles, scripts = [read_asset(name) for name in page.styles], [read_asset(name) for name in page.scripts]
    template = environment().get_template(page.template)
    html = template.render(**facts, styles=[Markup(one) for one in styles], scripts=[Markup(one) for one in scripts])
    return HTMLResponse(html, status, headers={"content-security-policy": policy(styles, scripts)})


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


@cache
def read_asset(name: str) -> str:
    return (files("qcgen.review") / "templates" / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("qcgen.review", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hashes(texts: Sequence[str]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)
