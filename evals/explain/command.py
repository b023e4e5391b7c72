"""`tora explain RUN`: one page on why the number is what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evals.benchmarks import Benchmark, load_benchmark
from evals.benchmarks.base import NAMES as BENCHMARKS
from evals.explain import data, grading, outputs, settings
from evals.explain.evidence import Evidence, Finding
from evals.explain.published import Published, scores_of
from evals.grading import same_answer
from evals.grading.protocols import NAMES, Panel
from evals.runs import Run
from evals.scoring.table import OURS, save, score
from evals.statistics import interval, mean_and_error
from tora_agent.errors import UsageError

CAUSES: tuple[Callable[[Evidence], Finding | None], ...] = (
    outputs.truncated,
    outputs.blank,
    outputs.boxes,
    outputs.past_the_answer,
    outputs.several_boxes,
    outputs.code,
    grading.extraction,
    grading.equality,
    grading.approximate,
    grading.failures,
    grading.band,
    data.golds,
    data.repeated,
    data.other_problems,
    data.own_invention,
    data.subset,
    settings.prompt,
    settings.sampling,
)
"""Everything that is looked for, in the order of the page."""


@dataclass(frozen=True)
class Asked:
    """What `tora explain` is asked."""

    folder: Path
    published: str | None = None
    benchmark: str | None = None
    data: Path | None = None


def explain_command(asked: Asked, console: Console) -> None:
    """Print the page. Raises `UsageError`."""
    with Panel() as panel:
        explain(asked, panel, console)


def explain(asked: Asked, panel: Panel, console: Console) -> None:
    """Print the page, with other programs' rules applied by `panel`. Raises `UsageError`."""
    run = Run.read(asked.folder)
    scored = score(run, NAMES, panel, console)
    save(run, scored)
    benchmark, missing = _benchmark(run, asked)
    evidence = Evidence(run, scored, same_answer, benchmark)
    findings = [(cause, cause(evidence)) for cause in CAUSES]
    name = asked.published or run.manifest.model_reported or run.manifest.model
    label = run.manifest.imported.benchmark_label if run.manifest.imported else run.manifest.benchmark
    published = scores_of(name, label if label and label != "sample" else "MATH")
    if asked.published and not published:
        raise UsageError(
            f"no published score of {asked.published!r} is known; evals/published_scores.jsonl has them all"
        )
    for part in _headline(evidence), _causes([found for _, found in findings if found]):
        console.print(part)
    nothing = ", ".join(cause.__name__.replace("_", " ") for cause, found in findings if found is None)
    console.print(f"looked for and not found: {nothing or 'none of the above'}", highlight=False)
    if missing:
        console.print(f"not compared with the benchmark: {missing}", highlight=False, markup=False)
    console.print(_published(evidence, published, name))
    console.print(_conclusion(evidence, [found for _, found in findings if found], published))


def _benchmark(run: Run, asked: Asked) -> tuple[Benchmark | None, str]:
    """The benchmark to hold the run against, the one asked for or else the run's own; or why there is none."""
    own, own_file = run.manifest.benchmark, run.manifest.data_file
    file = asked.data or (Path(own_file) if own_file and asked.benchmark in (None, own) else None)
    if asked.benchmark or asked.data:
        named = own if own in BENCHMARKS or (file and file.stem == own) else "math500"
        return load_benchmark(asked.benchmark or named, file), ""
    if own not in BENCHMARKS and file is None:
        return None, "the run does not say which; name it with --benchmark or --data"
    try:
        return load_benchmark(own, file), ""
    except UsageError as error:
        return None, str(error)


def _headline(evidence: Evidence) -> Table:
    run = evidence.run.manifest
    low, high = interval(evidence.scored.clusters(OURS))
    error = mean_and_error(evidence.scored.clusters(OURS))[1]
    title = escape(f"{run.benchmark} · {run.settings.prompt} · {run.model_reported or run.model}")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    if evidence.reported is not None:
        table.add_row("as scored", f"{evidence.reported:.1f} % by its source")
    margin = f" ± {100 * error:.1f}" if error is not None else ""
    table.add_row("re-graded", f"[bold green]{evidence.accuracy:.1f}[/]{margin} % by this grader")
    table.add_row("sampling error", f"95 % interval {100 * low:.1f} to {100 * high:.1f} %")
    band = [100 * edge for edge in evidence.scored.band()]
    table.add_row("grader band", f"{band[0]:.1f} to {band[1]:.1f} % by other programs' rules")
    table.add_row("samples", f"{len(evidence.samples)} of {len(evidence.by_problem())} problems")
    return table


def _causes(findings: list[Finding]) -> Table:
    table = Table(title="what can explain how many points", title_justify="left", show_lines=True)
    table.add_column("cause", style="bold")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("samples", justify="right")
    table.add_column("what was seen", overflow="fold")
    for found in sorted(findings, key=_weight, reverse=True):
        seen = Text(found.seen)
        for case in found.cases:
            seen.append(f"\n  {case}", "dim")
        table.add_row(found.title, _points(found), str(found.samples or "-"), seen)
    return table


def _weight(found: Finding) -> float:
    return max(map(abs, found.points)) if found.points else -1.0


def _points(found: Finding) -> str:
    if found.points is None:
        return "?"
    low, high = found.points
    return f"{low:+.1f}" if round(low, 1) == round(high, 1) else f"{low:+.1f} to {high:+.1f}"


def _published(evidence: Evidence, published: list[Published], name: str) -> Table | str:
    if not published:
        return f"no published score of {name!r} is known; name a model with --published"
    low, high = (100 * edge for edge in interval(evidence.scored.clusters(OURS)))
    table = Table(title="published scores of that model", title_justify="left")
    for column in ("model", "benchmark", "score", "against re-graded", "setting", "source"):
        table.add_column(column, overflow="fold")
    for each in published:
        inside = "within the sampling error" if low <= each.score <= high else "outside the sampling error"
        against = f"{each.score - evidence.accuracy:+.1f}, {inside}"
        table.add_row(
            *map(escape, (each.model, each.benchmark, f"{each.score:.1f}", against, each.setting, each.source))
        )
    return table


def _conclusion(evidence: Evidence, findings: list[Finding], published: list[Published]) -> Text:
    """The page in a sentence or two."""
    said = [f"Re-graded, the run has {evidence.accuracy:.1f} %"]
    if evidence.reported is not None:
        said[0] += (
            f", {evidence.accuracy - evidence.reported:+.1f} points against the {evidence.reported:.1f} % it was given"
        )
    weighty = sorted((f for f in findings if f.points and _weight(f) >= 0.5), key=_weight, reverse=True)
    if weighty:
        most = "; ".join(f"{f.title} ({_points(f)})" for f in weighty[:3])
        said.append(f"What moves it most: {most}. The points are not additive: one sample can have several causes")
    if published:
        first = published[0]
        gap = first.score - evidence.accuracy
        low, high = (100 * edge for edge in interval(evidence.scored.clusters(OURS)))
        way = (
            "the sampling error alone covers"
            if low <= first.score <= high
            else "the sampling error alone does not cover"
        )
        said.append(
            f"{first.model} is published with {first.score:.1f} on {first.benchmark} ({first.source}): "
            f"{gap:+.1f} points, which {way}"
        )
    return Text("\n" + ". ".join(said) + ".")
