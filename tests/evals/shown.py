"""A run with a bit of everything that a viewer shows, over the bundled problems. Nothing in it is measured."""

from __future__ import annotations

import random
from pathlib import Path

from evals.benchmarks import load_benchmark
from evals.grading import Grade, Verdict
from evals.runs import Run
from sandbox.result import CellError, CellResult
from tests.evals.making import manifest
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings
from tora_agent.steps import (
    Answer,
    Code,
    Failure,
    ModelCall,
    Output,
    Reasoning,
    Retry,
    State,
    Step,
    Trajectory,
    Usage,
    Verification,
)

# A red square of 24 x 24.
FIGURE = (
    "iVBORw0KGgoAAAANSUhEUgAAABgAAAAYCAIAAABvFaqvAAAAI0lEQVR42mNcYiTCQA3AxEAlMGrQqEGjBo0aNGrQqEGjBlEPAAB3LgEzLVQwMgAA"
    "AABJRU5ErkJggg=="
)
CODE = """from sympy import Rational, latex, sympify

parts = [Rational(k, k + 1) for k in range(1, {n})]
print({answer!r})
"""
CHECK = "value = {answer!r}\ncheck(value == str(value), 'computed again')\n"
NAME_ERROR = CellError(
    type="NameError",
    message="name 'candidates' is not defined",
    traceback="Cell In[1], line 1\n----> 1 found = [k for k in candidates if fits(k)]\n      2 print(found)",
)


def shown_run(folder: Path, samples: int = 4, seed: int = 7, skill: float = 0.6) -> Run:
    """Write a finished run of the bundled problems, open for writing; `skill` is the chance of a right answer."""
    rng = random.Random(seed)
    problems = load_benchmark("sample").problems
    ids = [problem.unique_id for problem in problems]
    made = manifest(problem_ids=ids, samples=samples, model="example-7b", model_reported="example-7b")
    run = Run.create(folder, made)
    for problem in problems:
        for sample in range(samples):
            right = rng.random() < skill + 0.3 - 0.13 * (problem.level or 3)
            add(run, shown_trajectory(rng, problem, sample, right), problem, right, rng)
    return run


def add(run: Run, trajectory: Trajectory, problem: Problem, right: bool, rng: random.Random) -> None:
    """Log a sample and its grade."""
    run.add(trajectory)
    verdict = Verdict.CORRECT if right else Verdict.WRONG
    if trajectory.answer is None:
        verdict = Verdict.TRUNCATED if trajectory.failure == "truncated" else Verdict.NO_ANSWER
    retried = any(isinstance(step, Retry) for step in trajectory.steps)
    run.add(
        Grade(
            problem_id=problem.unique_id,
            sample=trajectory.sample,
            answer=trajectory.answer,
            gold=problem.answer,
            verdict=verdict,
            reason="equal by Math-Verify" if right else "not equal by Math-Verify",
            first_verdict=rng.choice([Verdict.WRONG, Verdict.WRONG, Verdict.CORRECT]) if retried else None,
        )
    )


def shown_trajectory(rng: random.Random, problem: Problem, sample: int, right: bool) -> Trajectory:
    """A sample: an error that is repaired now and then, a check, sometimes another attempt."""
    answer = (
        problem.answer if right else rng.choice([str(rng.randrange(2, 400)), rf"\frac{{{rng.randrange(1, 30)}}}{{7}}"])
    )
    steps: list[Step] = []
    if rng.random() < 0.35:
        steps += [
            _words("Let me try the candidates by code."),
            Code(code="found = [k for k in candidates if fits(k)]\nprint(found)"),
            _failed(),
        ]
    steps += [
        _words(_beginning(problem), cut="```output\n56\n```\nThe output is 56, so we are done." if sample == 1 else "")
    ]
    steps += [Code(code=CODE.format(n=rng.randrange(5, 30), answer=answer)), _printed(f"{answer}\n", rng)]
    failure = None if right or rng.random() < 0.75 else rng.choice(["truncated", "out_of_rounds", "no_answer"])
    if failure:
        steps.append(Failure(failure=failure, message="there was no box in the last reply"))
        return _trajectory(problem, sample, steps, None, None, failure)
    steps.append(_words(rf"The code confirms it, so the answer is $\boxed{{{answer}}}$."))
    state: State = rng.choice(["True", "True", "Uncertain"] if right else ["True", "Uncertain", "False"])
    if rng.random() < 0.3:
        steps += [_check("1", "False"), Retry(reason="check_false", text="Your check came out False: computed again.")]
        steps += [_words(rf"I made a slip. It is $\boxed{{{answer}}}$.")]
    steps += [_check(answer, state), Answer(answer=answer, state=state)]
    return _trajectory(problem, sample, steps, answer, state, None)


def _beginning(problem: Problem) -> str:
    return problem.solution.replace("\\boxed", "") + "\n\nLet me **confirm** this with code:"


def _words(text: str, cut: str = "") -> Reasoning:
    return Reasoning(seconds=1.4 + len(text) / 90, text=text, cut=cut, call=_call(text))


def _call(text: str, finish_reason: str = "stop") -> ModelCall:
    usage = Usage(calls=1, prompt_tokens=900 + len(text), completion_tokens=len(text) // 3)
    return ModelCall(raw=text, finish_reason=finish_reason, usage=usage, seconds=1.0)


def _failed() -> Output:
    result = CellResult(error=NAME_ERROR, seconds=0.02)
    return Output(seconds=0.02, result=result, text=result.text)


def _printed(text: str, rng: random.Random) -> Output:
    figures = ({"image/png": FIGURE, "text/plain": "<Figure>"},) if rng.random() < 0.1 else ()
    result = CellResult(stdout=text, displays=figures, seconds=0.31)
    return Output(seconds=0.31, result=result, text=result.text)


def _check(answer: str, state: State) -> Verification:
    code = CHECK.format(answer=answer)
    result = CellResult(stdout=f"check: {state}, computed again\n", seconds=0.04)
    call = _call(f"```python\n{code}```")
    return Verification(
        seconds=2.1,
        answer=answer,
        state=state,
        reason=f"the check says {state}: computed again",
        call=call,
        code=code,
        result=result,
        source="called",
        doubts={"not_in_output": "the last output does not hold it"} if state == "False" else {},
    )


def _trajectory(
    problem: Problem, sample: int, steps: list[Step], answer: str | None, state: State | None, failure: object
) -> Trajectory:
    calls = [step.call for step in steps if isinstance(step, Reasoning | Verification)]
    return Trajectory.model_validate(
        {
            "problem_id": problem.unique_id,
            "sample": sample,
            "problem": problem.problem,
            "subject": problem.subject,
            "level": problem.level,
            "prompt": "csv",
            "model": "example-7b",
            "started": "2026-01-01T00:00:00.000+00:00",
            "seconds": sum(step.seconds for step in steps),
            "settings": AgentSettings(seed=sample, temperature=0.7).model_dump(mode="json"),
            "steps": [step.model_dump() for step in steps],
            "answer": answer,
            "state": state,
            "failure": failure,
            "usage": sum((call.usage for call in calls), Usage()).model_dump(),
        }
    )
