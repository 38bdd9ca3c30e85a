"""The divergence that a job asks for: one, a mixture, or a schedule of them, as one weight."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.distillspec import DivergenceSpec, MixSpec, NamedSpec
from qcgen.core.errors import SpecError
from qcgen.core.registry import scan
from qcgen.core.wording import names, show, suggest
from qcgen.distill.protocol import Divergence, Facts


@dataclass(frozen=True, slots=True)
class Mixture:
    """A weighted sum of divergences, itself one: f and h are linear in the shares. Follows `protocol.Divergence`."""

    name: ClassVar[str] = "mixture"
    shares: tuple[float, ...]
    parts: tuple[Divergence, ...]

    @property
    def facts(self) -> Facts:
        facts = [part.facts for part in self.parts]
        pairs = list(zip(self.shares, facts, strict=True))
        return Facts(
            generator=" + ".join(f"({share})*({fact.generator})" for share, fact in pairs),
            weight=" + ".join(f"({share})*({fact.weight})" for share, fact in pairs),
            # h(1) = 1 in every part, so the logarithmic slopes at 1 are averaged as the weights are.
            tilt=sum(share * fact.tilt for share, fact in pairs),
            limits=(sum(s * f.limits[0] for s, f in pairs), sum(s * f.limits[1] for s, f in pairs)),
            bound=sum(share * fact.bound for share, fact in pairs),
        )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        shown = [share * part.perspective(log_p, log_q) for share, part in zip(self.shares, self.parts, strict=True)]
        return torch.stack(shown).sum(0)

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        shown = [share * part.weight(log_ratio) for share, part in zip(self.shares, self.parts, strict=True)]
        return torch.stack(shown).sum(0)


@dataclass(frozen=True, slots=True)
class Blend:
    """The weight of a job's divergence at each moment of the training and each noise level.

    Attributes:
        parts: the divergences, each once.
        over: what the schedule runs over; None where nothing changes.
        at: its points, rising; one entry where nothing changes.
        shares: the share of each part at each point, `points parts`.
    """

    parts: tuple[Divergence, ...]
    over: Literal["progress", "log_snr"] | None
    at: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    def weight(
        self, log_ratio: Float[Tensor, " b"], *, progress: float, log_snr: Float[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        """h(r) per sample, not yet normalised: divide by its mean over the batch or bin, after this sum.

        Computed in float64, returned as `log_ratio` came: float32 holds every weight for |log r| <= 40.

        Args:
            log_ratio: ln p_teacher / p_student at x_t; clip before calling.
            progress: share of the training that is done, 0 to 1.
            log_snr: ln alpha^2 / sigma^2 of each sample.
        """
        place = torch.full_like(log_snr, progress) if self.over == "progress" else log_snr
        shares = self._shares(place.double())
        weights = torch.stack([part.weight(log_ratio.double()) for part in self.parts], dim=-1)
        # A part without a share counts nothing even where its weight is beyond all numbers.
        return torch.where(shares > 0, shares * weights, 0.0).sum(-1).to(log_ratio.dtype)

    def describe(self) -> str:
        """In words, for logs and cards."""
        said = [
            " + ".join(_worded(share, part) for share, part in zip(row, self.parts, strict=True) if share > 0)
            for row in self.shares
        ]
        if self.over is None:
            return said[0]
        points = [f"{text} at {at:g}" for text, at in zip(said, self.at, strict=True)]
        return f"over {self.over}: {', '.join(points)}"

    def _shares(self, place: Float[Tensor, " b"]) -> Float[Tensor, "b parts"]:
        table = place.new_tensor(self.shares)
        if len(self.at) == 1:
            return table.expand(len(place), -1)
        at = place.new_tensor(self.at)
        right = torch.searchsorted(at, place).clamp(1, len(at) - 1)
        part = ((place - at[right - 1]) / (at[right] - at[right - 1])).clamp(0, 1)
        return torch.lerp(table[right - 1], table[right], part[:, None])


def known_divergences() -> dict[str, type]:
    """Every divergence by its YAML name."""
    return scan("qcgen.distill.divergences")


def read_blend(spec: DivergenceSpec, *, where: str = "divergence") -> Blend:
    """The blend that a job asks for.

    Args:
        where: the key's place in the job, for messages.

    Raises:
        SpecError: all unknown names, unknown parameters and parameters out of range, each with its place.
    """
    rows: list[tuple[str, MixSpec]] = [(where, spec)]
    if spec.schedule is not None:
        rows = [(f"{where}.schedule.points[{i}]", point) for i, point in enumerate(spec.schedule.points)]
    problems = [] if spec.schedule is None else list(_strangers(spec, where, "a key beside `schedule`"))
    mixed = [_terms(row, place, problems) for place, row in rows]
    if problems:
        raise SpecError(problems)
    parts = tuple(dict.fromkeys(part for terms in mixed for _, part in terms))
    shares = tuple(tuple(math.fsum(share for share, one in terms if one == part) for part in parts) for terms in mixed)
    if spec.schedule is None:
        return Blend(parts, None, (0.0,), shares)
    return Blend(parts, spec.schedule.over, tuple(point.at for point in spec.schedule.points), shares)


def _terms(row: MixSpec, where: str, problems: list[str]) -> list[tuple[float, Divergence]]:
    if not row.mix:
        terms: Sequence[tuple[str, float, NamedSpec]] = [(where, 1.0, row)]
    else:
        problems += _strangers(row, where, "a key beside `mix`")
        terms = [(f"{where}.mix[{i}]", term.share, term) for i, term in enumerate(row.mix)]
    made = [(share, _divergence(term, place, problems)) for place, share, term in terms]
    return [(share, part) for share, part in made if part is not None]


def _divergence(spec: NamedSpec, where: str, problems: list[str]) -> Divergence | None:
    known = known_divergences()
    if spec.name not in known:
        meant = suggest(spec.name, known)
        cure = f"Did you mean {meant!r}?" if meant else "Choose one."
        problems.append(f"{where}.name: must be one of {names(known)} (got {show(spec.name)}). Cure: {cure}")
        return None
    kind = known[spec.name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    wrong = list(_strangers(spec, where, f"a parameter of {spec.name}", known=fields))
    values = {key: value for key, value in spec.parameters.items() if key in fields}
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            wrong.append(f"{where}.{key}: must be a number (got {show(value)}). Cure: write it without quotes.")
    problems += wrong
    if wrong:
        return None
    try:
        made: Divergence = kind(**{key: float(str(value)) for key, value in values.items()})
    except SpecError as error:
        problems += [f"{where}.{problem}" for problem in error.problems]
        return None
    return made


def _strangers(spec: NamedSpec, where: str, role: str, *, known: Mapping[str, object] | None = None) -> Iterator[str]:
    """Keys that the spec let through as parameters and that are none."""
    structure = type(spec).model_fields
    for key, value in spec.parameters.items():
        if known is None or key not in known:
            meant = suggest(key, [*(known or {}), *structure])
            cure = (
                f"Did you mean {meant!r}?"
                if meant
                else f"Remove it; known here: {names([*(known or {}), *structure])}."
            )
            yield f"{where}.{key}: is not {role} (got {show(value)}). Cure: {cure}"


def _worded(share: float, part: Divergence) -> str:
    values = [f"{field.name}={getattr(part, field.name):g}" for field in dataclasses.fields(part)]  # type: ignore[arg-type]
    named = f"{part.name}({', '.join(values)})" if values else part.name
    return named if share == 1 else f"{share:g} {named}"
