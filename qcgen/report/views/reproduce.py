"""How to make the same pictures again."""

import json
import shlex
from typing import ClassVar

from qcgen.core.batchcaps import describe_caps
from qcgen.report import words
from qcgen.report.protocol import Block, Code, Column, Facts, Number, Section, Table
from qcgen.report.runview import RunView

# A job with its rows inside could be larger than the rest of the page.
_MOST_TEXT = 20_000


class Reproduce:
    name: ClassVar[str] = "reproduce"
    order: ClassVar[int] = 80

    def build(self, view: RunView) -> Section:
        run = view.run
        pairs = (
            ("Run", run.run_id),
            ("Job", run.name),
            ("Purpose", run.purpose),
            ("Status", run.status),
            ("Started", run.started_at),
            ("Ended", run.ended_at or "not yet"),
            ("Model", run.model),
            ("Model digest", run.model_digest),
            ("Job digest", run.spec_sha256),
            ("Policy digest", run.policy_sha256),
        )
        blocks: list[Block] = [
            Code("Command", f"qcgen run {shlex.quote(run.job_path)}"),
            Facts(pairs),
        ]
        if run.seconds_by_stage:
            rows = tuple(
                (words.plain(stage), Number(seconds, words.duration(seconds)))
                for stage, seconds in sorted(run.seconds_by_stage.items(), key=lambda pair: -pair[1])
            )
            blocks.append(
                Table("stages", "Time by stage; stages may overlap", (Column("Stage"), Column("Time", True)), rows)
            )
        if run.environment:
            rows_text = tuple((name, value) for name, value in sorted(run.environment.items()))
            blocks.append(
                Table("environment", "Environment", (Column("What"), Column("Version")), rows_text, folded=True)
            )
        if view.spec:
            blocks.append(
                Code("Job as it ran", _clip(json.dumps(view.spec, indent=2, ensure_ascii=False)), folded=True)
            )
        same = "The same job, model digest and environment give the same seeds and the same noise for every image."
        lead = f"{same} {describe_caps(run.environment)}".rstrip()
        return Section("reproduce", "How to reproduce", lead, tuple(blocks))


def _clip(text: str) -> str:
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]}\n… {words.count(len(text) - _MOST_TEXT)} more characters: see the job file."
