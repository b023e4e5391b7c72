"""A large run of our own making: the bundled problems over and over, with many samples each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from evals.benchmarks import load_benchmark
from evals.grading import Grade, Verdict
from evals.runs import Manifest, Run
from sandbox.result import CellError, CellResult
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
    Step,
    Trajectory,
    Usage,
    Verification,
)

WORDS = [
    "we",
    "first",
    "factor",
    "the",
    "expression",
    "then",
    "count",
    "cases",
    "bound",
    "sum",
    "modulo",
    "use",
    "symmetry",
    "so",
    "that",
    "each",
    "term",
    "cancels",
]
CODE = """from sympy import symbols, solve, Rational, simplify

# the quantity that is asked for, step by step
x = symbols("x", real=True)
candidates = solve(x**2 - {a} * x + {b}, x)
total = Rational(0)
for n in range(1, {a} + 1):
    total += Rational(n, {b})
    if n % {c} == 0:
        total -= Rational(1, n)
print(candidates, simplify(total))
"""
CHECK = "value = {answer}\ncheck(value == sum([value]), 'recomputed')\n"
ERRORS = ("NameError", "TypeError", "ZeroDivisionError", "ValueError", "TimeoutError")


def large_run(folder: Path, problems: int = 500, samples: int = 64, seed: int = 0) -> Run:
    """Write a run of `problems` x `samples`, about 6 KB a trajectory, and return it open."""
    rng = random.Random(seed)
    stated = [*_problems(problems)]
    run = Run.create(folder, _manifest([problem.unique_id for problem in stated], samples))
    for problem in stated:
        solved = rng.random()
        for sample in range(samples):
            right = rng.random() < solved
            trajectory = _trajectory(rng, problem, sample, right)
            run.add(trajectory)
            run.add(_grade(rng, trajectory, problem, right))
    return run


def _problems(count: int) -> Iterator[Problem]:
    bundled = load_benchmark("sample").problems
    for number in range(count):
        problem = bundled[number % len(bundled)]
        id_ = f"{problem.unique_id}-{number // len(bundled)}"
        yield problem.model_copy(update={"unique_id": id_})


def _manifest(ids: list[str], samples: int) -> Manifest:
    return Manifest(
        created="2026-01-01T00:00:00+00:00",
        versions={"tora-agent": "0.1.0"},
        benchmark="sample",
        data_source="the bundled file sample.jsonl, repeated",
        data_sha256="0" * 64,
        data_file=None,
        limit=None,
        problem_ids=ids,
        samples=samples,
        settings=AgentSettings(temperature=0.7),
        prompt_sha256="0" * 64,
        prompt_text={},
        model="made-up",
        endpoint="none: made up",
        base_url=None,
        model_reported="made-up",
        image_id="none",
        image_name="none",
        limits={},
    )


def _trajectory(rng: random.Random, problem: Problem, sample: int, right: bool) -> Trajectory:
    steps: list[Step] = []
    answer = problem.answer if right else str(rng.randrange(1000))
    for _ in range(rng.randint(1, 4)):
        steps += _round(rng)
    ended = right or rng.random() < 0.8
    steps.append(_reasoning(rng, f"So the answer is $\\boxed{{{answer}}}$." if ended else "Let me think again."))
    state = rng.choice(("True", "True", "Uncertain", "False")) if ended else None
    if ended:
        steps += _check(rng, answer, state)
        steps.append(Answer(answer=answer, state=state))
    else:
        steps.append(Failure(failure="out_of_rounds", message="the model may be asked 8 times"))
    tokens = sum(step.call.usage.completion_tokens for step in steps if isinstance(step, Reasoning | Verification))
    return Trajectory(
        problem_id=problem.unique_id,
        sample=sample,
        problem=problem.problem,
        subject=problem.subject,
        level=problem.level,
        prompt="csv",
        model="made-up",
        started="2026-01-01T00:00:00.000+00:00",
        seconds=rng.uniform(2, 90),
        settings=AgentSettings(seed=sample).model_dump(mode="json"),
        steps=steps,
        answer=answer if ended else None,
        state=state,
        failure=None if ended else "out_of_rounds",
        usage=Usage(calls=len(steps) // 3 + 1, prompt_tokens=4 * tokens, completion_tokens=tokens),
    )


def _round(rng: random.Random) -> list[Step]:
    code = CODE.format(a=rng.randint(3, 99), b=rng.randint(2, 99), c=rng.randint(2, 9))
    error = CellError(
        type=rng.choice(ERRORS), message="in line 6", traceback="Cell In[1], line 6\n----> 6 total += 1 / 0"
    )
    failed = rng.random() < 0.2
    text = f"[{rng.randint(1, 50)}, {rng.randint(51, 99)}] {rng.randint(1, 999)}/{rng.randint(2, 99)}\n"
    result = CellResult(stdout="" if failed else text, error=error if failed else None, seconds=rng.random())
    return [_reasoning(rng), Code(code=code), Output(seconds=result.seconds, result=result, text=result.text)]


def _reasoning(rng: random.Random, end: str = "") -> Reasoning:
    words = " ".join(rng.choices(WORDS, k=rng.randint(60, 160)))
    text = f"{words} $x^2 + {rng.randint(2, 99)}x = \\frac{{{rng.randint(1, 9)}}}{{7}}$. {end}"
    return Reasoning(seconds=rng.uniform(1, 9), text=text, call=_call(text))


def _check(rng: random.Random, answer: str, state: str | None) -> list[Step]:
    code = CHECK.format(answer=answer)
    result = CellResult(stdout=f"check: {state}\n", seconds=0.01)
    call = _call(f"```python\n{code}```")
    verification = Verification(
        seconds=2.0, answer=answer, state=state or "Uncertain", reason="recomputed", call=call, code=code, result=result
    )
    again = state == "False" and rng.random() < 0.5
    return (
        [verification, Retry(reason="check_false", text="The check says False."), verification]
        if again
        else [verification]
    )


def _call(text: str) -> ModelCall:
    usage = Usage(calls=1, prompt_tokens=len(text), completion_tokens=len(text) // 4)
    return ModelCall(raw=text, finish_reason="stop", usage=usage, seconds=1.0)


def _grade(rng: random.Random, trajectory: Trajectory, problem: Problem, right: bool) -> Grade:
    verdict = Verdict.NO_ANSWER if trajectory.answer is None else Verdict.CORRECT if right else Verdict.WRONG
    retried = any(isinstance(step, Retry) for step in trajectory.steps)
    return Grade(
        problem_id=problem.unique_id,
        sample=trajectory.sample,
        answer=trajectory.answer,
        gold=problem.answer,
        verdict=verdict,
        reason="made up",
        first_verdict=rng.choice((Verdict.CORRECT, Verdict.WRONG)) if retried else None,
    )
