"""Which pictures of a batch repeat an earlier one."""

from collections.abc import Sequence

from qcgen.core.types import Finding, Severity
from qcgen.core.wording import part_of
from qcgen.qc.fingerprint import has_traits, read_hashes, read_traits
from qcgen.qc.near import AGREEMENT, Near, find_near

DUPLICATES = "gate_duplicates"
_BITS = 256
LIMIT_BITS = 24
"""Of 256, by which near hashes differ at most, unless a profile says otherwise."""


def find_duplicates(
    prints: Sequence[tuple[str, str, str]], *, limit_bits: int = LIMIT_BITS, agreement: float | None = AGREEMENT
) -> dict[str, Finding]:
    """Which images repeat an earlier one; the order given decides who is earlier.

    Args:
        prints: (image id, SHA-256 of the pixels, fingerprint) of each image, in the order of the job.
        limit_bits: largest Hamming distance of the hashes, of 256, that counts as near.
        agreement: least agreement of the phases that counts as near, at any small shift, mirrored or not; None: not
            looked for.

    Returns:
        A finding for each image with the pixels of an earlier one (`exact_duplicate`, rejects) or near to an earlier
        one that is no duplicate itself (`near_duplicate`, asks for a person; its evidence says where it is `mirrored`
        or `shifted`). One image of each group stays clean, and every image named as neighbour is clean and within the
        limit: no chains.

    Raises:
        IntegrityError: a fingerprint has no perceptual hash.
    """
    findings: dict[str, Finding] = {}
    first_with: dict[str, str] = {}
    fresh: list[tuple[str, str]] = []
    for image_id, sha256, print_ in prints:
        if sha256 in first_with:
            findings[image_id] = _exact(first_with[sha256])
        else:
            first_with[sha256] = image_id
            fresh.append((image_id, print_))
    if not fresh:
        return findings
    names, digits = zip(*fresh, strict=True)
    traits = None if agreement is None else read_traits(digits)
    near = find_near(read_hashes(digits, names), limit_bits, traits, agreement=agreement or AGREEMENT)
    for place, found in near.items():
        limit = float(limit_bits) if found.bits is not None else agreement or AGREEMENT
        findings[fresh[place][0]] = _near(fresh[found.place][0], found, limit)
    return findings


def tell_old(prints: Sequence[tuple[str, str, str]], *, agreement: float | None = AGREEMENT) -> tuple[Finding, ...]:
    """Says for how many pictures shifted and mirrored copies cannot be found: their fingerprints are of before."""
    old = sum(not has_traits(print_) for _, _, print_ in prints)
    if not old or agreement is None:
        return ()
    message = (
        f"{part_of(old, len(prints), 'picture', 'was', 'were')} recorded by a version without phases: of their near "
        "duplicates "
        "the shifted and mirrored ones are not found. Cure: qcgen score FOLDER compares the files themselves."
    )
    return (Finding(DUPLICATES, Severity.INFO, message, float(old), None),)


def _exact(neighbour: str) -> Finding:
    return Finding(
        kind="exact_duplicate",
        severity=Severity.BLOCK,
        message=f"exact_duplicate: the same pixels as image {neighbour}.",
        evidence={"neighbour": neighbour},
    )


def _near(neighbour: str, found: Near, limit: float) -> Finding:
    if found.bits is not None:
        return Finding(
            kind="near_duplicate",
            severity=Severity.WARN,
            message=f"near_duplicate: {found.bits} of {_BITS} hash bits differ from image {neighbour} "
            f"(limit {limit:g}).",
            value=float(found.bits),
            threshold=limit,
            evidence={"neighbour": neighbour},
        )
    return Finding(
        kind="near_duplicate",
        severity=Severity.WARN,
        message=f"near_duplicate: {_told(neighbour, found)}; the phases agree to {found.agreement:.2f} "
        f"(limit {limit:g}).",
        value=found.agreement,
        threshold=limit,
        evidence={"neighbour": neighbour, "relation": found.relation or "alike"},
    )


def _told(neighbour: str, found: Near) -> str:
    across = f"{abs(found.right):.1%} {'right' if found.right > 0 else 'left'}" if found.right else ""
    along = f"{abs(found.down):.1%} {'down' if found.down > 0 else 'up'}" if found.down else ""
    moved = " and ".join(filter(None, (across, along)))
    what = f"{'the mirror image of' if found.mirrored else 'the same picture as'} image {neighbour}"
    return f"{what}, moved by about {moved}" if moved else what
