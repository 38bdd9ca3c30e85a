"""Finds the views by a scan of their folder; loud about files that register nothing and about repeated places."""

import re
from typing import cast

from qcgen.core.errors import QcgenError
from qcgen.core.registry import scan
from qcgen.report.protocol import View

_NAME = re.compile(r"[a-z][a-z0-9-]*")


def load_views(package: str = "qcgen.report.views") -> tuple[View, ...]:
    """All views of a package, in page order.

    Raises:
        QcgenError: a file without a view, a repeated name or order, or a name that is no anchor.
    """
    listed = sorted(
        (cast(View, plugin()) for plugin in scan(package).values()), key=lambda view: (view.order, view.name)
    )
    bad = [view.name for view in listed if not _NAME.fullmatch(view.name)]
    taken = {view.order: view.name for view in reversed(listed)}
    twice = [view.name for view in listed if taken[view.order] != view.name]
    if bad or twice:
        problems = [f"view {name!r}: the name must be lower case letters, digits and hyphens." for name in bad]
        problems += [f"view {name!r}: its order is taken by another view. Change one." for name in twice]
        raise QcgenError("\n".join(problems))
    return tuple(listed)
