"""A generation job from its items to its report; started again, it goes on where it stopped."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from qcgen.core.batchcaps import cap_key, describe_cap
from qcgen.core.clock import Clock
from qcgen.core.errors import IntegrityError, QcgenError
from qcgen.core.expand import Expansion
from qcgen.core.job import JobSpec
from qcgen.core.review import Regeneration
from qcgen.core.store import Store
from qcgen.core.types import Item, Produced, RunInfo
from qcgen.generate.batch import Generator
from qcgen.generate.pool import FilePool
from qcgen.generate.write import sync_folders
from qcgen.govern.provenance import xmp_packet
from qcgen.models.protocol import ImageTextEncoder, Student
from qcgen.pipeline.account import Account, Tell, WriteReport
from qcgen.pipeline.assess import assess
from qcgen.pipeline.embeddings import EmbeddingKeeper
from qcgen.pipeline.executors.inprocess import Pending, work_through
from qcgen.pipeline.gates import ASKED_DIGESTS, ENCODER_DIGEST, judge_run
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.interrupt import InterruptedRunError, Stop, listen
from qcgen.pipeline.record import begin_record
from qcgen.pipeline.regenerate import make_again
from qcgen.pipeline.rejudge import rejudge_by_job, rejudge_duplicates, rejudge_queue
from qcgen.pipeline.resume import ITEMS_DIGEST, Identity, identify, reconcile, refuse_changes
from qcgen.pipeline.retry import ShardWorker
from qcgen.pipeline.reviewplan import plan_review
from qcgen.qc.asking import asked_of
from qcgen.qc.groups import size_text
from qcgen.qc.inspect import Inspector
from qcgen.qc.policy import Policy

LEASE_S = 10 * 365 * 86400.0
"""For good: the folder's lock, not the lease, tells that a runner died, and a run that attaches takes over all leases.
A lease that ran out while its shard is recorded would be given to this very runner again."""


def _quiet(sentence: str) -> None:
    return


def run_job(
    job: JobSpec,
    job_path: Path,
    *,
    expansion: Expansion,
    store: Store,
    student: Student,
    encoder: ImageTextEncoder | None,
    policy: Policy,
    report: WriteReport | None = None,
    progress: Tell | None = None,
    say: Callable[[str], None] = _quiet,
    out_dir: Path | None = None,
    limit: int | None = None,
    precise: Callable[[], Student] | None = None,
) -> RunInfo:
    """Generate, measure, judge, store and report every item that is not recorded yet.

    Args:
        out_dir: where files go; the job's `output.dir` unless given.
        limit: only the first items.
        say: receives sentences for a person.
        precise: loads the student in float32, for pictures that came out non-finite; without it the same student tries
            again.
        report: writes the report of the finished run and returns its path.

    Returns:
        The run as stored, status `complete`. A run that was complete already is returned as it is, nothing generated.

    Raises:
        SpecError: the output folder holds another job's run, or this job's from before it was changed.
        PausedError: stopped by a signal, the disk is full, or another process works in the folder; start again to
            resume.
        PrerequisiteError: the policy was calibrated for another student, encoder or size.
    """
    folder = (out_dir or job.output.dir).resolve()
    planned = len(expansion) if limit is None else min(limit, len(expansion))
    encoder_digest = None if encoder is None else encoder.digest
    policy = policy.fit(
        model_digest=student.ref.digest, encoder_digest=encoder_digest, size=size_text(student.size_px, student.size_px)
    )
    identity = identify(
        job,
        items_digest=expansion.digest,
        planned=planned,
        model_digest=student.ref.digest,
        policy_sha256=policy.sha256,
        out_dir=folder,
    )
    asked = asked_of(policy.settings)
    scored_by = {ENCODER_DIGEST: encoder_digest} | {name: asked.get(key) for key, name in ASKED_DIGESTS.items()}
    facts = {ITEMS_DIGEST: expansion.digest} | {name: one for name, one in scored_by.items() if one is not None}
    run = begin_record(
        job,
        job_path,
        identity,
        model_digest=student.ref.digest,
        policy_sha256=policy.sha256,
        folder=folder,
        planned=planned,
        facts=facts,
    )
    with hold_folder(folder, key="output.dir", say=say), listen() as stop:
        refuse_changes(store, run)
        runner = _Runner(
            job,
            run,
            identity,
            expansion=expansion,
            store=store,
            student=student,
            precise=precise,
            stop=stop,
            tell=progress,
            say=say,
        )
        return runner.run(policy=policy, encoder=encoder, report=report)


class _Runner:
    """One start of one run."""

    def __init__(
        self,
        job: JobSpec,
        run: RunInfo,
        identity: Identity,
        *,
        expansion: Expansion,
        store: Store,
        student: Student,
        precise: Callable[[], Student] | None,
        stop: Stop,
        tell: Tell | None,
        say: Callable[[str], None],
    ) -> None:
        self.job, self.run_info, self.identity, self.expansion, self.store = job, run, identity, expansion, store
        self.student, self.precise, self.say = student, precise, say
        self.caps: dict[str, int] = {}
        self.folder = Path(run.out_dir)
        self.keeper: EmbeddingKeeper | None = None
        self.clock = Clock()
        shards = [
            replace(shard, stop=min(shard.stop, run.planned))
            for shard in expansion.shards(job.engine.shard_size)
            if shard.start < run.planned
        ]
        self.account = Account(run, shards, store=store, clock=self.clock, stop=stop, tell=tell)

    def run(self, *, policy: Policy, encoder: ImageTextEncoder | None, report: WriteReport | None) -> RunInfo:
        stored = self.store.run(self.run_info.run_id)
        if stored is not None:
            self._reconcile()
            if stored.status == "complete" and self.account.all_done() and not self._asked_for():
                return self.account.report(stored, report)
        base = self.store.start_run(self.run_info, self.account.shards)
        self.caps = {key: int(value) for key, value in base.environment.items() if key.startswith(cap_key(""))}
        self.account.begin()
        try:
            self.store.register_model(self.student.ref.digest, self.student.ref.card)
            if not self.account.all_done() or self._asked_for():
                self._work(policy, encoder)
            with self.clock.stage("duplicates"):
                self._judge_alike(base, policy)
                policy, queue = rejudge_queue(self.run_info.run_id, self.store, policy, self.job.qc.queue.fdr)
                old = rejudge_duplicates(self.run_info.run_id, self.store, policy)
            with self.clock.stage("review"):
                lost = plan_review(base, self.store)
            gates = (*judge_run(base, self.store, policy), *queue, *old, *lost)
            finished = self.account.finish(base, "complete", gates)
        except InterruptedRunError:
            self.account.finish(base, "interrupted", ())
            raise
        except BaseException as error:
            # The store may be what failed; the error on its way says more than a second one would.
            with suppress(QcgenError):
                paused = isinstance(error, QcgenError) and error.exit_code == 5
                self.account.finish(base, "paused" if paused else "failed", ())
            raise
        return self.account.report(finished, report)

    def _judge_alike(self, base: RunInfo, policy: Policy) -> None:
        """By the job's policy, telling where another had judged since; a queue's false share judges all anew itself."""
        fdr = self.job.qc.queue.fdr
        own = {policy.sha256} if fdr is None else {policy.sha256, policy.at(policy.alpha, fdr=fdr).sha256}
        if base.policy_sha256 not in own:
            if fdr is None:
                rejudge_by_job(base, self.store, policy)
            self.say(
                f"run {base.run_id[:12]}: policy {base.policy_sha256[:12]} had judged it since (qcgen judge); this "
                f"start judged all by the job's own, {policy.sha256[:12]}. Cure: qcgen judge again, if the other is to "
                "hold."
            )

    def _reconcile(self) -> None:
        done = reconcile(
            self.store,
            self.run_info.run_id,
            self.folder,
            expansion=self.expansion,
            shards=self.account.shards,
            image_format=self.job.output.format,
            max_attempts=self.job.qc.retry.max_attempts,
        )
        if done.reopened or done.removed:
            body = {"reopened": " ".join(map(str, done.reopened)), "removed": str(len(done.removed))}
            self.store.audit(self.run_info.run_id, "run.reconcile", body)

    def _work(self, policy: Policy, encoder: ImageTextEncoder | None) -> None:
        files = FilePool(
            self.folder,
            self.job.output.format,
            packet=self._packet if self.job.governance.xmp else lambda item: None,
            size_px=self.student.size_px,
            clock=self.clock,
        )
        if encoder is not None:
            self.keeper = EmbeddingKeeper(self.folder, encoder.digest)
        worker = ShardWorker(
            expansion=self.expansion,
            generator=self._generator(self.student, ""),
            precise=self._precise_generator(),
            assess=partial(assess, Inspector(policy, encoder, self.expansion.vocabulary), policy, self.keeper),
            files=files,
            policy_sha256=policy.sha256,
            max_attempts=self.job.qc.retry.max_attempts,
            clock=self.clock,
            checkpoint=self.account.checkpoint,
        )
        owner = f"{socket.gethostname()}:{os.getpid()}"
        lease = partial(self.store.lease, self.run_info.run_id, owner, seconds=LEASE_S)
        try:
            work_through(lease, worker.produce, partial(self._record, worker), self.account.tell_recorded)
            make_again(
                self._asked_for,
                worker,
                self.expansion,
                size=self.job.engine.shard_size,
                record=partial(self._record_again, worker),
            )
        except BaseException:
            for relpath in worker.abandon():
                (self.folder / relpath).unlink(missing_ok=True)
            raise
        finally:
            files.close()

    def _generator(self, student: Student, what: str) -> Generator:
        engine = self.job.engine
        return Generator(
            student,
            batch_size=engine.batch_size,
            exact=engine.exact,
            spread=engine.compile != "on",  # on CUDA, where `auto` compiles too, nothing is spread anyhow
            clock=self.clock,
            lowered=partial(self._lowered, what),
        )

    def _lowered(self, what: str, stage: str, failed: int, cap: int) -> None:
        """Say it, and keep the smallest batch of all starts in the run's record."""
        self.say(describe_cap(what + stage, failed=failed, cap=cap))
        key = cap_key(what + stage)
        if cap < self.caps.get(key, failed):
            self.caps[key] = cap
            self.store.note(self.run_info.run_id, "run.memory", {key: str(cap)})

    def _precise_generator(self) -> Callable[[], Generator]:
        kept: list[Generator] = []

        def load() -> Generator:
            if not kept:
                kept.append(self._generator(self.precise() if self.precise else self.student, "float32 "))
            return kept[0]

        return load

    def _packet(self, item: Item) -> bytes:
        ref = self.student.ref
        # The recipe, not the run's id: the same job in another folder gives the same bytes, and as a prefix it finds
        # the run.
        return xmp_packet(model=ref.name, model_digest=ref.digest, run_id=self.identity.recipe, image_id=item.id)

    def _finish_files(self, made: Pending, stem: str) -> Sequence[Produced]:
        produced = made.finish()
        with self.clock.stage("write"):
            images = [each.image for each in produced if each.image is not None]
            folders = {(self.folder / image.relpath).parent for image in images}
            sync_folders(folders | {folder.parent for folder in folders})
            if self.keeper is not None:
                self.keeper.write(stem, produced)
        return produced

    def _record_again(self, worker: ShardWorker, made: Pending, asked: Sequence[Regeneration]) -> None:
        produced = self._finish_files(made, f"again-{asked[0].decision_id:06d}")
        with self.clock.stage("store"):
            self.store.review.record_regenerated(self.run_info.run_id, list(zip(asked, produced, strict=True)))
            worker.settle(made.shard)

    def _record(self, worker: ShardWorker, made: Pending, token: int) -> Sequence[Produced]:
        """Files first, then the rows."""
        produced = self._finish_files(made, f"{made.shard.number:06d}")
        with self.clock.stage("store"):
            if not self.store.record(self.run_info.run_id, made.shard, token, produced):
                raise IntegrityError(
                    f"{self.folder}: shard {made.shard.number} was taken over by another runner. Cure: find out who "
                    "else writes to this database, then start the same command again."
                )
            worker.settle(made.shard)
        return produced

    def _asked_for(self) -> Sequence[Regeneration]:
        """Attempts that reviewers asked for; none of a run that is not recorded yet."""
        return self.store.review.regenerations(self.run_info.run_id)
