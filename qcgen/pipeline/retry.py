"""One shard, every attempt: generate, measure, judge, and again with the next seed for what was rejected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import UInt8
from torch import Tensor

from qcgen.core.clock import Clock
from qcgen.core.expand import Expansion
from qcgen.core.types import Finding, Item, Measure, Outcome, Produced, Severity, Shard, Verdict
from qcgen.generate.batch import Generator, Made
from qcgen.generate.pool import FilePool, Written

NON_FINITE = "non_finite"
HEALED = "healed_in_float32"


class Assess(Protocol):
    """Measures, verdict and perceptual hash of each picture; `extra` are findings that are known beforehand."""

    def __call__(
        self, images: UInt8[Tensor, "b 3 h w"], items: Sequence[Item], extra: Sequence[Finding]
    ) -> Sequence[tuple[tuple[Measure, ...], Verdict, str]]: ...


@dataclass(slots=True)
class _Draft:
    """An attempt whose file may still be on its way."""

    item: Item
    measures: tuple[Measure, ...]
    verdict: Verdict
    gen_s: float
    phash: str | None = None
    file: Future[Written] | None = None

    def finish(self) -> Produced:
        written = self.file.result() if self.file else None
        return Produced(
            item=self.item,
            image=written.image if written else None,
            measures=self.measures,
            verdict=self.verdict,
            gen_s=self.gen_s,
            error=None if written else NON_FINITE,
            phash=self.phash,
            thumbnail=written.thumbnail if written else None,
        )


class MadeShard:
    """A shard whose pictures are made; `finish` waits for their files."""

    def __init__(self, shard: Shard, clock: Clock) -> None:
        self.shard = shard
        self._clock = clock
        self._drafts: list[_Draft] = []

    def add(self, drafts: Iterable[_Draft]) -> None:
        self._drafts += drafts

    def finish(self) -> list[Produced]:
        """Every attempt at every item of the shard, by item and attempt; their files are on disk."""
        with self._clock.stage("wait"):
            drafts = sorted(self._drafts, key=lambda draft: (draft.item.index, draft.item.attempt))
            return [draft.finish() for draft in drafts]


class ShardWorker:
    """Makes the pictures of shards and their files.

    Args:
        precise: gives the generator that tries again in float32 what came out non-finite.
        checkpoint: called with each batch's new drafts' outcomes; raises to stop between batches.
    """

    def __init__(
        self,
        *,
        expansion: Expansion,
        generator: Generator,
        precise: Callable[[], Generator],
        assess: Assess,
        files: FilePool,
        policy_sha256: str,
        max_attempts: int,
        clock: Clock,
        checkpoint: Callable[[int], None],
    ) -> None:
        self._expansion = expansion
        self._generator = generator
        self._precise = precise
        self._assess = assess
        self._files = files
        self._policy_sha256 = policy_sha256
        self._max_attempts = max_attempts
        self._clock = clock
        self._checkpoint = checkpoint
        self._open: dict[int, list[Future[Written]]] = {}

    def produce(self, shard: Shard) -> MadeShard:
        """Every attempt at every item of the shard."""
        wave = [self._expansion.item(index) for index in range(shard.start, shard.stop)]
        self._generator.prepare(item.prompt for item in wave)
        files: list[Future[Written]] = []
        self._open[shard.number] = files
        made = MadeShard(shard, self._clock)
        while wave:
            tried = self._try(wave, files)
            made.add(tried)
            wave = [
                self._expansion.item(draft.item.index, draft.item.attempt + 1)
                for draft in tried
                if draft.verdict.outcome is Outcome.REJECT and draft.item.attempt < self._max_attempts
            ]
        return made

    def produce_once(self, items: Sequence[Item], shard: Shard) -> MadeShard:
        """One attempt at each of these items, whatever the verdicts are; `shard` names them for `settle`."""
        self._generator.prepare(item.prompt for item in items)
        files: list[Future[Written]] = []
        self._open[shard.number] = files
        made = MadeShard(shard, self._clock)
        made.add(self._try(items, files))
        return made

    def settle(self, shard: Shard) -> None:
        """The shard is recorded: its files are no longer ours to abandon."""
        del self._open[shard.number]

    def abandon(self) -> list[str]:
        """Wait for the files of all unrecorded shards; returns the paths of those that were written."""
        return [file.result().image.relpath for file in self._unrecorded() if file.exception() is None]

    def _unrecorded(self) -> list[Future[Written]]:
        # A copy: the thread that records takes shards out.
        return [file for files in list(self._open.values()) for file in files]

    def _try(self, items: Sequence[Item], files: list[Future[Written]]) -> list[_Draft]:
        drafts: list[_Draft] = []
        sick: list[Item] = []
        for made in self._made(self._generator, items):
            drafts += self._draft(made, (), files)
            sick += _unfinite(made)
        if sick:
            note = Finding(
                HEALED, Severity.INFO, "The first try gave non-finite pixels; made again in float32 with the same seed."
            )
            for made in self._made(self._precise(), sick):
                drafts += self._draft(made, (note,), files)
                drafts += [self._fail(item, made.elapsed_s) for item in _unfinite(made)]
        return sorted(drafts, key=lambda draft: draft.item.index)

    def _made(self, generator: Generator, items: Sequence[Item]) -> Iterator[Made]:
        for made in generator.make(items):
            yield made
            self._raise_early()
            self._checkpoint(len(made.items))

    def _draft(self, made: Made, extra: Sequence[Finding], files: list[Future[Written]]) -> Iterable[_Draft]:
        """Measures the very codes that are written; non-finite pictures are neither measured nor written."""
        places = [place for place, finite in enumerate(made.finite) if finite]
        if not places:
            return
        items = [made.items[place] for place in places]
        images = made.images if len(places) == len(made.items) else made.images[places]
        with self._clock.stage("qc"):
            assessed = self._assess(images, items, extra)
        pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        # After the detectors: their operators use all cores at once and would wait for the encoders'.
        for item, picture, (measures, verdict, phash) in zip(items, pixels, assessed, strict=True):
            file = self._files.submit(item, picture)
            files.append(file)
            yield _Draft(item, measures, verdict, made.elapsed_s, phash, file)

    def _fail(self, item: Item, gen_s: float) -> _Draft:
        message = "The model gave non-finite pixels, in float32 too; nothing was written."
        reason = Finding(NON_FINITE, Severity.BLOCK, message)
        return _Draft(item, (), Verdict(Outcome.FAILED, (reason,), None, self._policy_sha256), gen_s)

    def _raise_early(self) -> None:
        """A full disk is known before the shard's end."""
        for file in self._unrecorded():
            if file.done() and (error := file.exception()) is not None:
                raise error


def _unfinite(made: Made) -> list[Item]:
    return [item for item, finite in zip(made.items, made.finite, strict=True) if not finite]
