"""Causes in the data: another subset, repeated problems, other golds, responses that belong to other problems."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

from evals.explain.evidence import Evidence, Finding, some
from evals.importing.joining import normal
from evals.report import Sample
from evals.scoring.transcript import transcript
from tora_agent.answers import last_box
from tora_agent.problem import Problem

MATH500_LEVELS = {1: 43, 2: 90, 3: 105, 4: 128, 5: 134}
"""Problems of each level in MATH-500 (Lightman et al. 2023, arXiv:2305.20050, appendix C)."""
MATH500 = sum(MATH500_LEVELS.values())
OWN_LEAST, OTHER_LEAST, OTHER_TIMES = 0.15, 0.5, 3.0
"""A response is on another problem if it takes up less of its own, and more of the other, than these shares."""
FEW = 0.01
"""Share of such responses below which that is taken for chance."""
_TOKEN = re.compile(r"[A-Za-z]{4,}|\d+(?:\.\d+)?")


def subset(evidence: Evidence) -> Finding | None:
    """Not the whole benchmark, or not its mix of levels."""
    found = evidence.by_problem()
    levels = Counter(evidence.problems[id_].level for id_ in found)
    whole, what = (
        ({p.unique_id for p in evidence.benchmark.problems}, evidence.benchmark.name)
        if evidence.benchmark
        else (None, "MATH-500")
    )
    if whole is None and not _claims_math500(evidence):
        return None
    missing, extra = (len(whole - set(found)), len(set(found) - whole)) if whole else (MATH500 - len(found), 0)
    of_math500 = evidence.benchmark is None or evidence.benchmark.name == "math500"
    mixed = _mixed(evidence) if of_math500 else None
    levelled = of_math500 and None not in levels
    off = {level: levels[level] - count for level, count in MATH500_LEVELS.items()} if levelled else {}
    if not missing and not extra and not any(off.values()):
        return None
    seen = f"{len(found)} problems; {missing} of {what} are not among them" + (
        f", and {extra} are not of it" if extra else ""
    )
    points = None
    if off and any(off.values()):
        counts = ", ".join(f"level {level}: {levels[level]} ({count})" for level, count in MATH500_LEVELS.items())
        seen += f". By level, and in MATH-500: {counts}"
    if mixed is not None:
        points = (mixed - evidence.accuracy,) * 2
        seen += f". With the levels of MATH-500 in their proportions it would be {mixed:.1f} %"
    return Finding("another subset", seen, missing + extra if whole else abs(len(found) - MATH500), points)


def repeated(evidence: Evidence) -> Finding | None:
    """Problems that count more than once."""
    counts = Counter(s.trajectory.problem_id for s in evidence.samples)
    usual = min(counts.values())
    groups: dict[str, list[str]] = defaultdict(list)
    for id_ in counts:
        groups[normal(evidence.problems[id_].problem)].append(id_)
    alike = [ids for text, ids in groups.items() if len(ids) > 1 and text]
    more = [id_ for id_, count in counts.items() if count > usual]
    again = sum(counts[id_] - usual for id_ in more) + sum(len(ids) - 1 for ids in alike)
    if not again:
        return None
    once = _once(evidence, list(groups.values()))
    seen = (
        f"{again} samples repeat a problem that is there already ({len(more)} ids with more than {usual} samples, "
        f"{len(alike)} statements under several ids). With each problem counted once the score is {once:.1f} %"
    )
    ids = some(more + [" = ".join(ids) for ids in alike])
    return Finding("repeated problems", seen, again, (once - evidence.accuracy,) * 2, ids)


def golds(evidence: Evidence) -> Finding | None:
    """Golds that are not the benchmark's, or not those of the solution that stands beside them."""
    wrong: list[str] = []
    gained = 0
    for id_, samples in evidence.by_problem().items():
        problem = evidence.problems[id_]
        truth = _true_gold(evidence, problem)
        if truth is None or evidence.equal(problem.answer, truth):
            continue
        wrong.append(f"{id_}: {problem.answer} for {truth}")
        for sample in samples:
            right = sample.trajectory.answer is not None and evidence.equal(sample.trajectory.answer, truth)
            gained += right - sample.correct
    if not wrong:
        return None
    seen = f"{len(wrong)} golds differ from the benchmark's, or from the box in the solution beside them"
    return Finding("other golds", seen, len(wrong), (evidence.points(gained),) * 2, some(wrong))


def other_problems(evidence: Evidence) -> Finding | None:
    """Responses that take up another problem of the run than the one they are logged for."""
    statements = {id_: _tokens(evidence.problems[id_].problem) for id_ in evidence.by_problem()}
    seen_in = Counter(token for tokens in statements.values() for token in tokens)
    weights = {token: math.log(len(statements) / count) + 0.1 for token, count in seen_in.items()}
    strays = []
    invented = _begin_with_their_own(evidence)
    for sample in evidence.samples:
        if id(sample) in invented:
            continue
        said = _tokens(transcript(sample.trajectory))
        own = _taken_up(statements[sample.trajectory.problem_id], said, weights)
        if not said or own >= OWN_LEAST:
            continue
        other = max(statements, key=lambda id_: _taken_up(statements[id_], said, weights))
        if _taken_up(statements[other], said, weights) >= max(OTHER_LEAST, OTHER_TIMES * own):
            strays.append((sample, other))
    if len(strays) < FEW * len(evidence.samples):
        return None
    seen = (
        f"{len(strays)} responses take up another problem of the run than their own: the rows are shifted or mixed up"
    )
    gained = sum(_regained(evidence, sample, other) for sample, other in strays)
    ids = some(f"{sample.trajectory.problem_id} on {other}" for sample, other in strays)
    points = (evidence.points(gained), evidence.points(sum(not sample.correct for sample, _ in strays)))
    return Finding("responses to other problems", seen, len(strays), points, ids)


def own_invention(evidence: Evidence) -> Finding | None:
    """Responses that begin with a statement of a problem that nobody asked."""
    invented = _begin_with_their_own(evidence)
    strays = [sample for sample in evidence.samples if id(sample) in invented]
    if not strays:
        return None
    wrong = sum(not s.correct for s in strays)
    seen = (
        f"{len(strays)} responses begin with a problem of their own and solve that one: the few-shot prompt leaks, or "
        "the problem did not reach the model"
    )
    ids = some(s.trajectory.problem_id for s in strays)
    return Finding("problems of its own", seen, len(strays), (0.0, evidence.points(wrong)), ids)


def _begin_with_their_own(evidence: Evidence) -> set[int]:
    """Identities of the samples whose response states another problem than the one that was asked."""
    found = set()
    for sample in evidence.samples:
        head, solution, _ = transcript(sample.trajectory)[:3000].partition("\n\nSolution:")
        own, stated = normal(sample.trajectory.problem), normal(head)
        if solution and stated and stated[:40] not in own and own[:40] not in stated:
            found.add(id(sample))
    return found


def _claims_math500(evidence: Evidence) -> bool:
    imported = evidence.run.manifest.imported
    names = [evidence.run.manifest.benchmark, *([imported.benchmark_label, imported.file] if imported else [])]
    return any(re.search(r"math[-_ ]?500", name, re.IGNORECASE) for name in names)


def _mixed(evidence: Evidence) -> float | None:
    """The score with each level in its share of MATH-500, in percent; None where a level is unknown or missing."""
    by_level: dict[int | None, list[bool]] = defaultdict(list)
    for sample in evidence.samples:
        by_level[sample.trajectory.level].append(sample.correct)
    if set(by_level) != set(MATH500_LEVELS):
        return None
    shares = {level: sum(right) / len(right) for level, right in by_level.items()}
    return 100 * sum(MATH500_LEVELS[level] * shares[level] for level in MATH500_LEVELS) / MATH500


def _once(evidence: Evidence, groups: list[list[str]]) -> float:
    found = evidence.by_problem()
    firsts = [found[ids[0]] for ids in groups]
    usual = min(map(len, found.values()))
    right = [sample.correct for samples in firsts for sample in samples[:usual]]
    return 100 * sum(right) / len(right)


def _true_gold(evidence: Evidence, problem: Problem) -> str | None:
    if evidence.benchmark:
        for each in evidence.benchmark.problems:
            if each.unique_id == problem.unique_id or normal(each.problem) == normal(problem.problem):
                return each.answer if normal(each.problem) == normal(problem.problem) else None
    return last_box(problem.solution)


def _regained(evidence: Evidence, sample: Sample, other: str) -> bool:
    answer = sample.trajectory.answer
    return not sample.correct and answer is not None and evidence.equal(answer, evidence.problems[other].answer)


def _tokens(text: str) -> set[str]:
    return set(_TOKEN.findall(text.lower()))


def _taken_up(statement: set[str], said: set[str], weights: dict[str, float]) -> float:
    """Share of a statement's words and numbers, rare ones counting more, that a text has too."""
    total = sum(weights[token] for token in statement)
    return sum(weights[token] for token in statement & said) / total if total else 1.0
