"""The licence gate as the steps pass it: what blocks ends the work, what warns is said."""

from collections.abc import Callable

from qcgen.core.errors import BlockedError
from qcgen.core.types import Card, Severity
from qcgen.govern.licence import check_licences
from qcgen.govern.protocol import Work


def pass_gate(work: Work, card: Card, *, key: str, say: Callable[[str], None]) -> None:
    """Ask every rule, before anything is loaded or written.

    Args:
        key: the job's key or the argument that names the model, for messages.
        say: receives a sentence for each warning.

    Raises:
        BlockedError: every rule that stands against it.
    """
    findings = check_licences(work, card)
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        raise BlockedError("\n".join(f"{key}: {finding.message}" for finding in blocking))
    for finding in findings:
        say(f"{finding.severity} {finding.kind}: {finding.message}")
