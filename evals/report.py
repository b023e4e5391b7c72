"""The score table of a run."""

from __future__ import annotations

import ast
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from evals.grading import Grade, Verdict
from evals.runs import Run
from evals.statistics import bootstrap, interval, majority, mean_and_error, pass_at_k
from evals.voting.tables import vote_tables
from tora_agent.steps import Code, Reasoning, State, Trajectory

TRUNCATION_WARNING = 0.01
"""Share of samples cut by the token limit above which the score is not to be trusted."""


@dataclass(frozen=True)
class Sample:
    """A trajectory and its grade."""

    trajectory: Trajectory
    grade: Grade

    @property
    def correct(self) -> bool:
        return self.grade.verdict is Verdict.CORRECT


def samples_of(run: Run) -> list[Sample]:
    """All graded samples of `run`, in the order of its problems."""
    grades, place = run.grades(), {id_: i for i, id_ in enumerate(run.manifest.problem_ids)}
    graded = [t for t in run.trajectories() if (t.problem_id, t.sample) in grades]
    ordered = sorted(graded, key=lambda t: (place.get(t.problem_id, 0), t.sample))
    return [Sample(t, grades[t.problem_id, t.sample]) for t in ordered]


def accuracy(samples: Iterable[Sample]) -> str:
    """Accuracy in percent with its standard error, and the counts behind it."""
    clusters = clusters_of(samples)
    if not clusters:
        return "-"
    mean, error = mean_and_error(clusters)
    margin = f" ± {100 * error:.1f}" if error is not None else ""
    return f"{100 * mean:.1f}{margin} % ({sum(map(sum, clusters))}/{sum(map(len, clusters))})"


def accuracy_between(samples: Iterable[Sample]) -> str:
    """Accuracy in percent with its 95 % interval, and the counts behind it."""
    clusters = clusters_of(samples)
    mean, counts = mean_and_error(clusters)[0], f"({sum(map(sum, clusters))}/{sum(map(len, clusters))})"
    return f"{100 * mean:.1f} {_between(clusters)} {counts}"


def clusters_of(samples: Iterable[Sample]) -> list[list[bool]]:
    """Which samples are correct, by problem."""
    clusters: dict[str, list[bool]] = defaultdict(list)
    for sample in samples:
        clusters[sample.trajectory.problem_id].append(sample.correct)
    return list(clusters.values())


def _between(clusters: list[list[bool]]) -> str:
    low, high = interval(clusters)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def well_formed(trajectory: Trajectory) -> bool:
    """Whether the model wrote code, and all of it is Python."""
    blocks = [step.code for step in trajectory.steps if isinstance(step, Code)]
    return bool(blocks) and all(_parses(block) for block in blocks)


def report(run: Run, samples: list[Sample]) -> RenderableType:
    """The table that `tora eval` ends with, from the run's `samples_of`."""
    total = run.planned()
    parts: list[RenderableType] = [_headline(run, samples, total)]
    if samples:
        parts += [
            _breakdown(samples),
            *vote_tables(run, ((s.trajectory, s.grade) for s in samples)),
            *_verification(samples),
            *_warnings(samples),
        ]
    if samples and len(samples) < total and run.manifest.stop_early:
        parts.append(
            f"[yellow]stopped early: {len(samples)} of {total} samples. Problems that are hard to decide have more of "
            "them: accuracy and pass@k lean towards these, the vote does not[/]"
        )
    if len(samples) < total and not run.manifest.stop_early:
        parts.append(f"[yellow]incomplete: {len(samples)} of {total} samples[/]")
    return Group(*parts)


def _headline(run: Run, samples: list[Sample], total: int) -> Table:
    m, trajectories = run.manifest, [s.trajectory for s in samples]
    title = escape(f"{m.benchmark} · {m.settings.prompt} · {m.model_reported or m.model}")
    table = Table(title=title, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("accuracy", f"[bold green]{accuracy(samples)}[/]")
    planned = len(samples) if m.stop_early else total
    for label, text in _figures(samples, planned, voted=bool(run.classes())):
        table.add_row(label, text)
    verdicts = Counter(s.grade.verdict for s in samples)
    table.add_row("verdicts", ", ".join(f"{v.value} {verdicts[v]}" for v in Verdict if verdicts[v]) or "-")
    failures = Counter(t.failure for t in trajectories if t.failure)
    table.add_row("failures", ", ".join(f"{kind} {count}" for kind, count in failures.most_common()) or "none")
    if samples:
        states = Counter(t.state for t in trajectories if t.state)
        if states:
            table.add_row("verification", ", ".join(f"{state} {count}" for state, count in states.most_common()))
        code = sum(map(well_formed, trajectories))
        table.add_row("well-formed code", f"{100 * code / len(samples):.1f} % ({code}/{len(samples)})")
        table.add_row("replies cut", _cut(trajectories))
        out = sum(t.usage.completion_tokens for t in trajectories)
        read = sum(t.usage.prompt_tokens for t in trajectories)
        each = len(samples)
        table.add_row("tokens", f"{out} generated, {read} read ({out / each:.0f} and {read / each:.0f} a sample)")
        if costs := [t.usage.cost for t in trajectories if t.usage.cost is not None]:
            table.add_row("cost", f"{sum(costs):.4g} dollars ({sum(costs) / each:.2g} a sample)")
        table.add_row("seconds", f"{sum(t.seconds for t in trajectories) / each:.1f} a sample, in its own time")
    problems = f"{len(m.problem_ids)} problems x {m.samples}"
    table.add_row("data", f"{escape(m.data_source)}, {problems}, sha256 {m.data_sha256[:12]}")
    return table


GRADER_FAILURES = (Verdict.GRADER_TIMEOUT, Verdict.GRADER_ERROR)
UNANSWERED = (Verdict.NO_ANSWER, Verdict.TRUNCATED)


def _figures(samples: list[Sample], total: int, voted: bool) -> Iterator[tuple[str, str]]:
    """The interval; pass@k and maj@k of several samples that nobody voted on; what failed apart from being wrong."""
    clusters = clusters_of(samples)
    if not clusters:
        return
    several = max(map(len, clusters)) > 1
    check = bootstrap(clusters, rounds=500) if several else None
    drawn = f", bootstrap [{100 * check.low:.1f}, {100 * check.high:.1f}]" if check else ""
    yield "95 % interval", f"{_between(clusters)} % ({'clustered by problem' if several else 'Wilson'}{drawn})"
    if several and not voted:
        yield "of several", _of_several(samples)
    unanswered = [s for s in samples if s.grade.verdict in UNANSWERED]
    if unanswered:
        yield "of the answered", accuracy(s for s in samples if s.grade.verdict not in UNANSWERED)
    judged = [s for s in samples if s.grade.verdict not in GRADER_FAILURES]
    failed = total - len(judged)
    if failed:
        right = sum(sample.correct for sample in samples)
        missing, ungraded = total - len(samples), len(samples) - len(judged)
        with_them = f"counted as wrong {100 * right / total:.1f} %, left out {accuracy(judged)}"
        yield "infrastructure", f"{missing} samples not made, {ungraded} not graded; {with_them}"


def _cut(trajectories: list[Trajectory]) -> str:
    """How many replies had text after their code, which the model wrote before it could have seen the output."""
    cut = [step.cut for t in trajectories for step in t.steps if isinstance(step, Reasoning) and step.cut]
    invented = sum("```output" in text for text in cut)
    return f"{len(cut)} went on after their code, {invented} of them with an invented output" if cut else "none"


def _of_several(samples: list[Sample]) -> str:
    """Unbiased pass@k and the majority of all samples, over the problems that have as many samples as most have."""
    by_problem: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_problem[sample.trajectory.problem_id].append(sample)
    n = Counter(map(len, by_problem.values())).most_common(1)[0][0]
    whole = [each for each in by_problem.values() if len(each) == n]
    ks = [k for k in (2, 4, 8, 16, 32, 64) if k <= n]
    counts = [sum(s.correct for s in each) for each in whole]
    passes = [f"pass@{k} {100 * sum(pass_at_k(n, c, k) for c in counts) / len(whole):.1f} %" for k in ks]
    votes = [majority([s.grade.answer_form or s.grade.answer for s in e], [s.correct for s in e]) for e in whole]
    return ", ".join([*passes, f"maj@{n} {100 * sum(votes) / len(votes):.1f} %"])


def _breakdown(samples: list[Sample]) -> Table:
    table = Table()
    for column in ("by level", "% [95 % interval]", "by subject", "% [95 % interval]"):
        table.add_column(column, justify="left")
    levels, subjects = defaultdict(list), defaultdict(list)
    for sample in samples:
        levels[sample.trajectory.level].append(sample)
        subjects[sample.trajectory.subject or "-"].append(sample)
    left = [(_level(level), accuracy_between(levels[level])) for level in sorted(levels, key=_by_number)]
    right = [(escape(subject), accuracy_between(subjects[subject])) for subject in sorted(subjects)]
    for i in range(max(len(left), len(right))):
        table.add_row(*(left[i] if i < len(left) else ("", "")), *(right[i] if i < len(right) else ("", "")))
    return table


def _verification(samples: list[Sample]) -> list[RenderableType]:
    """Whether self-verification pays: its state against the verdict, and what trying again has changed, by level."""
    checked = samples if any(s.trajectory.state for s in samples) else []
    retried = [s for s in samples if s.grade.first_verdict is not None]
    return [*([_states(checked)] if checked else []), *([_flips(retried)] if retried else [])]


def _by_level(samples: list[Sample]) -> dict[str, list[Sample]]:
    levels = sorted({s.trajectory.level for s in samples}, key=_by_number)
    return {_level(level): [s for s in samples if s.trajectory.level == level] for level in levels}


def _level(level: int | None) -> str:
    return "-" if level is None else str(level)


def _by_number(level: int | None) -> tuple[bool, int]:
    return level is None, level or 0


def _states(samples: list[Sample]) -> Table:
    levels = _by_level(samples)
    if len(levels) == 1:
        levels = {}
    table = Table("state", "correct", "not correct", title="What the checks were worth")
    for level in levels:
        table.add_column(level, justify="right")
    if levels:
        table.caption = f"levels {', '.join(levels)}: correct / all"
    states: list[State | None] = ["True", "Uncertain", "False"]
    for state in states + [None] * any(s.trajectory.state is None for s in samples):
        right, total = _right_of(state, samples)
        counts = [_right_of(state, of_level) for of_level in levels.values()]
        table.add_row(
            state or "not checked", str(right), str(total - right), *(f"{a}/{b}" if b else "-" for a, b in counts)
        )
    return table


def _right_of(state: State | None, samples: list[Sample]) -> tuple[int, int]:
    """How many samples of `state` are correct, and how many there are."""
    right = [s.correct for s in samples if s.trajectory.state == state]
    return sum(right), len(right)


def _flips(retried: list[Sample]) -> Table:
    table = Table("level", "tried again", "to right", "to wrong", title="What trying again has changed")
    levels = _by_level(retried)
    for level, of_level in (levels | {"all": retried} if len(levels) > 1 else levels).items():
        changes = [s.correct - (s.grade.first_verdict is Verdict.CORRECT) for s in of_level]
        table.add_row(level, str(len(of_level)), str(changes.count(1)), str(changes.count(-1)))
    return table


def _warnings(samples: list[Sample]) -> list[str]:
    cut = sum(s.trajectory.truncated for s in samples)
    filtered = sum(s.trajectory.failure == "filtered" for s in samples)
    warnings = []
    if cut / len(samples) > TRUNCATION_WARNING:
        warnings.append(
            f"{cut} of {len(samples)} samples were cut by the token limit; the score is too low: raise --max-tokens"
        )
    if filtered:
        warnings.append(
            f"{filtered} of {len(samples)} samples were refused by the endpoint's content filter and count as wrong"
        )
    return [f"[yellow]warning: {warning}[/]" for warning in warnings]


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def print_report(run: Run, console: Console, samples: list[Sample] | None = None) -> None:
    """Print the table, the run directory, and the command that opens it; `samples` spares reading the log again."""
    console.print(report(run, samples_of(run) if samples is None else samples))
    command = f"tora show {shlex.quote(str(run.folder))}"
    console.print(f"run: {run.folder}\nopen: {command}", soft_wrap=True, highlight=False, markup=False)
