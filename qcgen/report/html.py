"""HTML from sections: Jinja2 with autoescape, styles and scripts allowed by their hash, nothing from a network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qcgen.report.protocol import Section
from qcgen.report.runview import RunView


def render_index(view: RunView, sections: Sequence[Section], *, digest: str = "") -> str:
    """The report page; it has no script at all. `digest`: SHA-256 of the run.json beside it."""
    return _render_run(view, sections, images="'self'", single=False, sample=(), told="", digest=digest)


def render_single(
    view: RunView, sections: Sequence[Section], sample: Sequence[tuple[str, str, str]], *, told: str, digest: str
) -> str:
    """The page with its pictures inside.

    Args:
        sample: title, prompt and data address of pictures drawn at random.
        told: what was left out, and why.
    """
    return _render_run(view, sections, images="data:", single=True, sample=sample, told=told, digest=digest)


def render_page(title: str, subtitle: str, sections: Sequence[Section], *, source: str, pictures: bool = False) -> str:
    """A page of sections written from the file `source` beside it; it has no script at all.

    Args:
        pictures: the page may show pictures from the disk.
    """
    style = _asset("style.css")
    images = "img-src 'self'; " if pictures else ""
    policy = f"default-src 'none'; {images}style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template("page.html.j2")
    facts = {"title": title, "subtitle": subtitle, "sections": sections, "source": source}
    return page.render(**facts, style=Markup(style), policy=policy)


def render_training(title: str, subtitle: str, sections: Sequence[Section], *, source: str = "events.jsonl") -> str:
    """The page of a training or a pilot."""
    return render_page(title, subtitle, sections, source=source)


def render_grid(view: RunView, items: int) -> str:
    """The grid page. Its data script has no hash: integrity attributes are refused on pages opened from disk."""
    return _render_scripted("grid", ("grid.js", "griddetail.js"), {"run": view.run, "view": view, "items": items})


def render_runs() -> str:
    """The index of all runs; like the grid it reads its data from a classic script beside it."""
    return _render_scripted("runs", ("runs.js",), {})


def _render_run(view: RunView, sections: Sequence[Section], *, images: str, single: bool, **facts: object) -> str:
    style = _asset("style.css")
    policy = f"default-src 'none'; img-src {images}; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template("index.html.j2")
    given = {"view": view, "run": view.run, "sections": sections, "single": single, **facts}
    return page.render(**given, style=Markup(style), policy=policy)


def _render_scripted(name: str, scripts: Sequence[str], facts: Mapping[str, object]) -> str:
    style = _asset("style.css") + _asset(f"{name}.css")
    # One scope for all of them, and none of their names on the page.
    script = '(() => {\n"use strict";\n' + "".join(_asset(one) for one in scripts) + "})();\n"
    policy = (
        f"default-src 'none'; img-src 'self'; style-src '{_hash(style)}'; script-src 'self' '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(f"{name}.html.j2")
    return page.render(**facts, style=Markup(style), script=Markup(script), policy=policy)


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
