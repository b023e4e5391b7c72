"""The rules, in their order of precedence: what is certain and from outside first, then what went wrong last and
nearest to the answer, then who should have noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from evals.failures.calls import library_calls
from evals.failures.case import Case
from evals.failures.values import elements, relaxation, same, shown
from evals.grading import Verdict
from evals.replay.cells import Cell
from tora_agent.doubts import Evidence, contradicts_output

EVIDENCE_CHARS = 200
REFUSED = ("content_filter", "error", "abort", "refusal")
"""Finish reasons of servers for a reply that neither ended nor met the token limit."""
SAME_CODE, OTHER_CODE = 3, 5
"""Equal outputs in a row that are no chance, of the same code and of other code: two can be a check."""
OTHER_PROBLEM = 0.15
"""Share of the problem's words and numbers below which a solution is one of another problem."""
FEW_WORDS, PROSE_CHARS = 5, 100
"""Problems with fewer words, and solutions with less prose, are too short to tell."""
_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
_WORDS = re.compile(r"\d+|(?<![\\a-z])[a-z]{4,}")
SMALL = re.compile(r"-?\d")
"""Golds that occur in an output by chance: two outputs must show one, or the last."""


@dataclass(frozen=True)
class Finding:
    """A rule that fired."""

    rule: str
    step: int | None
    """Index of the evidence among the trajectory's steps; None where it is the absence of any."""
    evidence: str
    """One line."""
    decisive: bool = True
    """Whether it can be the cause: not if the sample has got over it."""


Rule = Callable[[Case], Finding | None]


def grader_disagreement(case: Case) -> Finding | None:
    """The grader came to no verdict, or says wrong of what is the same text or number."""
    if case.grade.verdict in (Verdict.GRADER_TIMEOUT, Verdict.GRADER_ERROR):
        return _found("grader_disagreement", case.answered_at, f"no verdict: {case.grade.reason}")
    if case.grade.verdict is Verdict.WRONG and case.answer is not None and same(case.answer, case.gold):
        return _found("grader_disagreement", case.answered_at, f"{case.answer} counts as wrong, gold {case.gold}")
    return None


def sandbox_failure(case: Case) -> Finding | None:
    """A cell's Python process ended, other than by the cell's time limit."""
    for cell in reversed(case.cells):
        if cell.result.error and cell.result.died and not cell.result.timed_out:
            return _found("sandbox_failure", cell.step, cell.result.error.line, _stands(case, cell))
    return None


def model_failure(case: Case) -> Finding | None:
    """A reply was empty, or ended for another reason than its end or the token limit."""
    for step, reply in reversed(case.replies):
        last = step == case.last_reply and case.answer is None
        if reply.call.finish_reason in REFUSED:
            return _found("model_failure", step, f"the reply ended with {reply.call.finish_reason}", last)
        if not (reply.call.raw.strip() or reply.call.reasoning.strip() or reply.text.strip()):
            return _found("model_failure", step, "an empty reply", last)
    return None


def format_only(case: Case) -> Finding | None:
    """The answer is the gold one but for its form."""
    if case.grade.verdict is not Verdict.WRONG or case.answer is None:
        return None
    if (forgiven := relaxation(case.answer, case.gold)) is None:
        return None
    return _found("format_only", case.answered_at, f"{forgiven}: {case.answer} for {case.gold}")


def truncated(case: Case) -> Finding | None:
    """A token limit cut a reply, or the context was full."""
    for step, reply in reversed(case.replies):
        if reply.call.finish_reason == "length":
            tail = reply.text[-60:] or reply.call.raw[-60:]
            return _found("truncated", step, f"cut after: ...{tail}", case.answer is None)
    if case.trajectory.failure in ("truncated", "context_full"):
        return _found("truncated", case.end, _failure(case))
    return None


def had_it_lost_it(case: Case) -> Finding | None:
    """The gold value is in an earlier box or in an output, and the answer is another."""
    if not case.wrong or not case.gold or (case.answer is not None and same(case.answer, case.gold)):
        return None
    for said in reversed(case.boxes):
        if said.text != case.answer and same(said.text, case.gold):
            return _found("had_it_lost_it", said.step, f"the box {said.text} was right")
    shows = [(cell, value) for cell in case.cells if (value := _gold_in(case, cell)) is not None]
    by_chance = SMALL.fullmatch(case.gold.strip()) and len(shows) < 2 and shows and shows[-1][0] is not case.cells[-1]
    if not shows or by_chance:
        return None
    cell, value = shows[-1]
    return _found("had_it_lost_it", cell.step, f"the output shows {value}, gold {case.gold}")


def another_problem(case: Case) -> Finding | None:
    """What the model wrote has hardly a word or number of the problem: it solves another one, an example's say."""
    asked = set(_WORDS.findall(_DRAWING.sub("", case.trajectory.problem.lower())))
    prose = " ".join(reply.text for _, reply in case.replies)
    if len(asked) < FEW_WORDS or len(prose) < PROSE_CHARS:
        return None
    written = set(_WORDS.findall(" ".join([prose, *(cell.code for cell in case.cells)]).lower()))
    if len(asked & written) > OTHER_PROBLEM * len(asked):
        return None
    share = f"{len(asked & written)} of {len(asked)} words and numbers of the problem"
    return _found("another_problem", case.replies[0][0], f"{share}; it begins: {prose[:100]}")


def hallucinated_output(case: Case) -> Finding | None:
    """The model wrote an output of code itself. Decisive where the conversation went on with it."""
    for step, reply in case.replies:
        if "```output" in reply.text:
            return _found("hallucinated_output", step, _after(reply.text, "```output"))
    for step, reply in case.replies:
        if "```output" in reply.cut:
            return _found("hallucinated_output", step, f"cut: {_after(reply.cut, '```output')}", False)
    return None


def same_error_repeated(case: Case) -> Finding | None:
    """Cells in a row raised the same error. Decisive if they are the last, or three of them and none ran well later."""
    best: list[Cell] = []
    streak: list[Cell] = []
    for cell in case.cells:
        error = cell.result.error
        if error is None or cell.result.timed_out:
            streak = []
            continue
        repeats = streak and streak[-1].result.error and streak[-1].result.error.line == error.line
        streak = [*streak, cell] if repeats else [cell]
        best = streak if len(streak) >= len(best) else best
    if len(best) < 2:
        return None
    error = best[-1].result.error
    evidence = f"{len(best)} times: {error.line if error else ''}"
    decisive = best[-1] is case.cells[-1] or (len(best) > 2 and _stands(case, best[-1]))
    return _found("same_error_repeated", best[-1].step, evidence, decisive)


def timeout(case: Case) -> Finding | None:
    """A cell ran into its time limit; the evidence says in which library call, where that is known."""
    for cell in reversed(case.cells):
        if cell.result.timed_out and cell.result.error:
            line = cell.result.error.message
            calls = library_calls(cell.code) if ", in " not in line else []
            among = f" (it calls {', '.join(calls)})" if calls else ""
            return _found("timeout", cell.step, line + among, _stands(case, cell))
    return None


def code_error(case: Case) -> Finding | None:
    """A cell raised an error. Decisive where no later cell ran well: it was never repaired."""
    for cell in reversed(case.cells):
        error = cell.result.error
        if error and not cell.result.timed_out and not cell.result.died:
            return _found("code_error", cell.step, error.line, _stands(case, cell))
    return None


def contradicts_last_output(case: Case) -> Finding | None:
    """The last output is a number, and the answer is another. Decisive where no earlier output shows the answer."""
    if case.answer is None or not case.cells or case.cells[-1].step > case.answered_at:
        return None
    outputs = [cell.result.printed for cell in case.cells]
    failed = case.cells[-1].result.error is not None
    said = contradicts_output(Evidence(case.trajectory.problem, case.answer, outputs=outputs, failed=failed))
    if said is None:
        return None
    elsewhere = any(_shows(cell, case.answer) for cell in case.cells)
    return _found("contradicts_last_output", case.cells[-1].step, f"{said}: {case.answer}", not elsewhere)


def going_in_circles(case: Case) -> Finding | None:
    """The same code three times in a row, or other code five times, brought the same output.

    Decisive if these are the last cells, and the output is not the answer.
    """
    best: list[Cell] = []
    streak: list[Cell] = []
    for cell in case.cells:
        output = cell.result.printed.strip()
        repeats = output and not cell.result.error and streak and streak[-1].result.printed.strip() == output
        streak = [*streak, cell] if repeats else [cell]
        best = streak if len(streak) >= len(best) else best
    codes = {"".join(cell.code.split()) for cell in best}
    if len(best) < (SAME_CODE if len(codes) == 1 else OTHER_CODE):
        return None
    last = best[-1]
    decisive = last is case.cells[-1] and not (case.claim and _shows(last, case.claim))
    return _found("going_in_circles", last.step, f"{len(best)} times: {last.result.printed.strip()}", decisive)


def budget_exhausted(case: Case) -> Finding | None:
    """The limit of rounds or seconds ended the sample without an answer."""
    if case.trajectory.failure in ("out_of_rounds", "out_of_time"):
        return _found("budget_exhausted", case.end, _failure(case))
    if case.trajectory.reported and case.claim is None and case.cells and case.cells[-1].step == case.end - 1:
        return _found("budget_exhausted", case.end - 1, "the record ends with an output: the model was not asked again")
    return None


def no_box(case: Case) -> Finding | None:
    """The model ended without an answer in a box, or its program without printing one."""
    if case.answer is None and case.trajectory.failure in (None, "no_answer", "no_code", "code_failed"):
        return _found("no_box", case.last_reply, _failure(case))
    if case.answer is not None and case.claim is None:
        return _found("no_box", case.last_reply, f"taken from no box: {case.answer}")
    return _found("no_box", case.answered_at, "it had to be asked for its box", False) if case.nudged else None


def no_code_run(case: Case) -> Finding | None:
    """The prompt asks for code, and none was run."""
    if case.cells or not case.asked_for_code:
        return None
    return _found("no_code_run", case.last_reply, "no code was run")


def verified_false(case: Case) -> Finding | None:
    """The answer was submitted although its check had come out False."""
    if case.trajectory.state != "False":
        return None
    return _check_of_answer(case, "verified_false", lambda state, _: state == "False")


def void_check(case: Case) -> Finding | None:
    """The answer's check said nothing: it was void, raised, or told no state."""
    return _check_of_answer(case, "void_check", lambda state, void: state == "Uncertain" or bool(void))


def wrong_program(case: Case) -> Finding | None:
    """The wrong answer is what the code shows: it computes something else than what is asked."""
    if not case.wrong or case.answer is None:
        return None
    for cell in reversed(case.cells):
        if (value := _shows(cell, case.answer)) is not None:
            return _found("wrong_program", cell.step, f"the output shows {value}, which is the answer")
    return None


def verified_true(case: Case) -> Finding | None:
    """The answer's check came out True, and the answer is wrong."""
    if not case.wrong or case.trajectory.state != "True":
        return None
    return _check_of_answer(case, "verified_true", lambda state, _: state == "True")


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        grader_disagreement,
        sandbox_failure,
        model_failure,
        format_only,
        truncated,
        had_it_lost_it,
        another_problem,
        hallucinated_output,
        same_error_repeated,
        timeout,
        code_error,
        contradicts_last_output,
        going_in_circles,
        budget_exhausted,
        no_box,
        no_code_run,
        verified_false,
        void_check,
        verified_true,
        wrong_program,
    )
}
"""By name, in order of precedence."""


def _found(rule: str, step: int | None, evidence: str, decisive: bool = True) -> Finding:
    line = " ".join(evidence.split())
    return Finding(rule, step, line if len(line) <= EVIDENCE_CHARS else line[: EVIDENCE_CHARS - 3] + "...", decisive)


def _stands(case: Case, cell: Cell) -> bool:
    """Whether no cell after `cell` ran well."""
    return all(later.result.error for later in case.cells if later.step > cell.step)


def _gold_in(case: Case, cell: Cell) -> str | None:
    output = cell.result.printed.strip()
    values = shown(output) if SMALL.fullmatch(case.gold.strip()) else chain(shown(output), elements(output))
    return next((value for value in values if same(value, case.gold)), None)


def _shows(cell: Cell, answer: str) -> str | None:
    """The value in the cell's output that is `answer`, or is it but for its form."""
    output = cell.result.printed
    values = chain(shown(output), elements(output))
    return next((v for v in values if same(answer, v) or relaxation(answer, v) is not None), None)


def _check_of_answer(case: Case, rule: str, meant: Callable[[str, str | None], bool]) -> Finding | None:
    """The newest check of the final answer, if it is `meant`."""
    for step, check in reversed(case.verifications):
        if check.answer == case.answer:
            return _found(rule, step, f"{check.state}: {check.reason}") if meant(check.state, check.void) else None
    return None


def _failure(case: Case) -> str:
    last = case.trajectory.steps[-1] if case.trajectory.steps else None
    return getattr(last, "message", "") or str(case.trajectory.failure or "no answer")


def _after(text: str, mark: str) -> str:
    return text.partition(mark)[2].strip()
