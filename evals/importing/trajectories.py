"""A foreign record as a trajectory with typed steps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from evals.grading.extract import Extract, extract_answer, joined_boxes
from evals.importing.cuts import cut_evidence, usual_cut
from evals.importing.joining import Joined
from evals.importing.outputs import result_of
from evals.importing.record import Record
from sandbox import CellResult
from tora_agent.problem import Problem
from tora_agent.steps import (
    Answer,
    Code,
    Failure,
    FailureKind,
    ModelCall,
    Output,
    Reasoning,
    Reported,
    Step,
    Trajectory,
    Usage,
)

UNKNOWN = "unknown"
CUT = ("length", "max_tokens", "max_length", "token_limit")
TAIL = 400
"""Characters at a response's end in which an answer must stand that its source has extracted."""


def trajectories(records: list[Record], joined: Joined, started: str) -> Iterator[Trajectory]:
    """One for each record; records of the same problem are samples 0, 1, ... of it. `started` is ISO 8601, UTC."""
    problems = {problem.unique_id: problem for problem in joined.problems}
    cut_at, seen = usual_cut(_cut_lengths(records)), Counter[str]()
    writes_code = any(part.role == "code" for record in records for part in record.parts)
    for record, id_ in zip(records, joined.ids, strict=True):
        made = _trajectory(record, problems[id_], seen[id_], cut_at, started)
        yield made.model_copy(update={"settings": made.settings | {"writes_code": writes_code}})
        seen[id_] += 1


def answer_of(record: Record) -> str | None:
    """The final answer, by the lenient rule: the last complete box, else what the response says is its answer.

    Where code was run without a box in the end, the source's own answer comes first: a program's output is the answer
    where code is all there is (PAL).
    """
    said = [part for part in record.parts if part.role in ("text", "output")]
    box = next(filter(None, (joined_boxes(part.content) for part in reversed(said))), None)
    if box is not None:
        return box
    reported = (record.reported_answer or "").strip()
    if reported and any(part.role == "code" for part in record.parts):
        return reported
    cut = record.finish_reason in CUT or cut_evidence(_text(record)) is not None
    last = said[-1].content if said else ""
    found = extract_answer(last, Extract.LENIENT, cut)
    return found or (reported if _stands_at_the_end(reported, record) and not cut else None)


def _trajectory(record: Record, problem: Problem, sample: int, cut_at: float | None, started: str) -> Trajectory:
    answer = answer_of(record)
    kind, message = (None, "") if answer is not None else _failure(record, cut_at)
    last: Step = Answer(answer=answer) if answer is not None else Failure(failure=kind or "no_answer", message=message)
    return Trajectory(
        problem_id=problem.unique_id,
        sample=sample,
        problem=problem.problem,
        subject=problem.subject,
        level=problem.level,
        prompt=record.prompt or UNKNOWN,
        model=record.model or UNKNOWN,
        started=started,
        seconds=0.0,
        settings={key: value for key, value in record.settings.items() if key != "first_prompt"},
        steps=[*_steps(record), last],
        answer=answer,
        failure=kind,
        usage=Usage(),
        reported=Reported(answer=record.reported_answer, correct=record.reported_correct),
    )


def _steps(record: Record) -> Iterator[Step]:
    for part in record.parts:
        if part.role == "text":
            reason = "length" if record.finish_reason in CUT and part is record.parts[-1] else UNKNOWN
            call = ModelCall(raw=part.content, finish_reason=reason, usage=Usage(), seconds=0.0)
            yield Reasoning(seconds=0.0, text=part.content, call=call)
        elif part.role == "code":
            yield Code(code=part.content)
        elif part.role == "output":
            yield Output(seconds=0.0, result=result_of(part.content), text=part.content)
        else:
            yield Output(seconds=0.0, result=CellResult(), text=part.content)


def _failure(record: Record, cut_at: float | None) -> tuple[FailureKind, str]:
    text = _text(record)
    if record.finish_reason in CUT:
        return "truncated", f"the log says that it ended by {record.finish_reason!r}"
    if not text.strip():
        return "no_answer", "the response is blank"
    evidence = cut_evidence(text)
    if evidence is None and cut_at is not None and len(text) >= cut_at:
        evidence = "it has no answer and is as long as those that were evidently cut"
    return ("truncated", f"no finish reason is logged, but {evidence}") if evidence else ("no_answer", "no box")


def _cut_lengths(records: list[Record]) -> list[int]:
    """Lengths, in characters, of the responses without an answer that were evidently cut."""
    open_ended = (_text(record) for record in records if answer_of(record) is None)
    return [len(text) for text in open_ended if cut_evidence(text)]


def _text(record: Record) -> str:
    return "\n".join(part.content for part in record.parts)


def _stands_at_the_end(answer: str, record: Record) -> bool:
    squeezed = re.sub(r"\s", "", _text(record)[-TAIL:])
    return bool(answer) and re.sub(r"\s", "", answer) in squeezed
