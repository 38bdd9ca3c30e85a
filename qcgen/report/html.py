"""HTML from sections: Jinja2 with autoescape, styles and scripts allowed by their hash, nothing from a network."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qcgen.core.types import RunInfo
from qcgen.report.protocol import Section
from qcgen.report.runview import RunView


def render_index(view: RunView, sections: Sequence[Section]) -> str:
    """The report page; it has no script at all."""
    style = _asset("style.css")
    policy = f"default-src 'none'; img-src 'self'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template("index.html.j2")
    return page.render(view=view, run=view.run, sections=sections, style=Markup(style), policy=policy)


def render_training(title: str, subtitle: str, sections: Sequence[Section], *, source: str = "events.jsonl") -> str:
    """The page of a training or a pilot, written from the file `source` beside it; it has no script at all."""
    style = _asset("style.css")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template("training.html.j2")
    facts = {"title": title, "subtitle": subtitle, "sections": sections, "source": source}
    return page.render(**facts, style=Markup(style), policy=policy)


def render_grid(run: RunInfo, items: int) -> str:
    """The grid page. Its data script has no hash: integrity attributes are refused on pages opened from disk."""
    style, script = _asset("style.css") + _asset("grid.css"), _asset("grid.js")
    policy = (
        f"default-src 'none'; img-src 'self'; style-src '{_hash(style)}'; script-src 'self' '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template("grid.html.j2")
    return page.render(run=run, items=items, style=Markup(style), script=Markup(script), policy=policy)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("qcgen.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (files("qcgen.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
