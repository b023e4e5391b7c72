"""Make runs and grade them: `tora eval`, `import`, `score`, `compare`, `explain`, `grade`, `path`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tora_agent.cli.app import app, console, examples, standard_input
from tora_agent.cli.options import Data, Given, LogDir, RunName, calling, solving, taking, voting

_BENCHMARK = (
    "sample, math500, or a .jsonl file of your own, with problem, answer and unique_id on each line, and maybe "
    "subject, level (an integer) and solution."
)


@app.command(
    short_help="Evaluate a model on a benchmark; resume a run.",
    epilog=examples(
        "tora eval sample --limit 5",
        "tora eval math500 --prompt csv --model gpt-4o --limit 100",
        "tora eval math500 --data math500.jsonl --samples 4 --temperature 0.7",
        "tora eval mine.jsonl",
        "tora eval --resume last",
    ),
)
@taking(solving, calling, voting)
def eval(
    benchmark: Annotated[str | None, typer.Argument(help=_BENCHMARK)] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N problems.")] = None,
    spread: Annotated[
        int | None, typer.Option(help="Draw the problems from all subjects and levels, with this seed.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Samples per problem. Default: 1.")] = None,
    max_connections: Annotated[
        int | None, typer.Option(help="Samples in flight. Default: 16; 4 for the embedded model.")
    ] = None,
    data: Data = None,
    log_dir: LogDir = Path("runs"),
    resume: Annotated[str | None, typer.Option(help="Finish this run: a path, a name, or last.")] = None,
    *,
    given: Given,
) -> None:
    """Evaluate a model on a benchmark; every sample is logged as it ends, and a run can always be resumed.

    The default prompt set is tora. Exit status 0 when complete, 2 for a set-up error, 3 when paused or incomplete; then
    the last line is the command that finishes it, in which a spent --max-cost or --max-tokens-total is doubled.
    """
    from evals.command import eval_command

    raise typer.Exit(eval_command(given, console()))


@app.command(
    short_help="Turn another program's log into a run.",
    name="import",
    epilog=examples(
        "tora import samples_minerva_math500.jsonl",
        "tora import solution.ipynb --benchmark math500",
        "tora import predictions.json --format opencompass --benchmark math500",
        "tora import responses.jsonl --data math500.jsonl --model my-model",
    ),
)
def import_(
    file: Annotated[Path, typer.Argument(help="The log: jsonl, or JSON with a list or an object of rows.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="notebook, lm-eval, opencompass, mathcoder, turns, tora or plain. Default: told from the rows."
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Where golds, subjects and levels come from that the log lacks: sample, math500, or a .jsonl file."
        ),
    ] = None,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="The model's name. Default: as the log has it.")] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Turn another program's log into a run: lm-eval, OpenCompass, ToRA, Qwen2.5-Math, MathCoder, or plain responses.

    One run for each model and prompt in the file. The run can be shown, scored, explained and compared like any other.
    """
    from evals.importing.command import Wanted, import_command

    import_command(Wanted(file, format, benchmark, data, model, log_dir), console())


@app.command(
    short_help="Grade a run again, or under other programs' rules.",
    epilog=examples("tora score last", "tora score last --protocol all", "tora score runs/my-run --protocol prm800k"),
)
def score(
    run: RunName,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="all, or one of lm-eval-minerva, lm-eval-hendrycks, opencompass, qwen2.5-math, tora, prm800k, "
            "simple-evals, math-verify: print the score by these rules instead."
        ),
    ] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Grade a run again without its model. New grades are appended, old ones kept.

    With --protocol, one table: the same trajectories under our grader and under other programs' rules, the band that
    they span, and the samples on which they disagree; the run's grades stay as they are.
    """
    from evals.runs.run import find_run
    from evals.scoring.regrade import score_command
    from evals.scoring.table import protocols_command

    folder = find_run(run, log_dir)
    if protocol is None:
        score_command(folder, console())
    else:
        protocols_command(folder, protocol, console())


@app.command(
    short_help="Compare two runs, paired by problem.",
    epilog=examples("tora compare runs/one runs/other", "tora compare runs/one last"),
)
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run: a path, a name under the log directory, or last.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    log_dir: LogDir = Path("runs"),
) -> None:
    """Compare two runs on the problems that both have: difference, interval, McNemar's test, flipped problems.

    It also says what the two were made with that is not the same: settings, prompt, data, model, versions.
    """
    from evals.comparison import compare_command
    from evals.runs import Run
    from evals.runs.run import find_run

    compare_command(Run.read(find_run(first, log_dir)), Run.read(find_run(second, log_dir)), console())


@app.command(
    short_help="Say why a run's number differs from others'.",
    epilog=examples(
        "tora explain last", "tora explain runs/my-run --published Qwen2.5-72B-Instruct --data math500.jsonl"
    ),
)
def explain(
    run: RunName,
    published: Annotated[
        str | None, typer.Option(help="The model whose published scores stand beside it. Default: the run's own.")
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Hold golds and problems against it: sample, math500, or a .jsonl file. Default: the run's own."
        ),
    ] = None,
    data: Data = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Say on one page why a run's number differs from others': what can explain how many points.

    Cut answers, missing boxes, extraction and equality, prompt and sampling, subset, golds, the grader band, the
    sampling error; beside it what was published of that model.
    """
    from evals.explain.command import Asked, explain_command
    from evals.runs.run import find_run

    explain_command(Asked(find_run(run, log_dir), published, benchmark, data), console())


@app.command(short_help="Print where the task for lm-evaluation-harness is.", epilog=examples("tora path lm-eval"))
def path(
    what: Annotated[str, typer.Argument(help="lm-eval: the directory of the task for lm-evaluation-harness.")],
) -> None:
    """Print where a part of the package is, as in lm_eval --include_path $(tora path lm-eval) --tasks tora_math500."""
    from tora_agent.errors import UsageError

    if what != "lm-eval":
        raise UsageError(f"there is no path {what!r}; there is lm-eval")
    import evals.lm_eval

    print(Path(str(evals.lm_eval.__file__)).parent)


@app.command(
    short_help="Grade one answer, or a file of them, and say why.",
    name="grade",
    context_settings={"ignore_unknown_options": True},  # an answer such as -5 is no option
    epilog=examples(
        "tora grade '\\frac{2}{4}' 0.5",
        "tora grade 'So the answer is \\boxed{3}.' 3 --json",
        "tora grade --file cases.jsonl",
    ),
)
def grade_(
    prediction: Annotated[str | None, typer.Argument(help="A response or final answer; - for stdin.")] = None,
    gold: Annotated[str | None, typer.Argument(help="The right answer.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A jsonl file instead: gold and prediction, maybe id and form, on each line.")
    ] = None,
    form: Annotated[str, typer.Option(help="What a prediction is: response or answer.")] = "response",
    extract: Annotated[str, typer.Option(help="Which answers count in a response: lenient or box.")] = "lenient",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Grade an answer against the right one, and say why.

    Exit status: 0 for a correct answer, 1 for any other verdict, 2 for a usage error; with --file, 0 or 2.
    """
    from evals.grading.command import grade_file, grade_pair
    from tora_agent.errors import UsageError

    if file is not None and prediction is None:
        raise typer.Exit(grade_file(file, form, extract, json, console()))
    if file is not None or prediction is None or gold is None:
        raise UsageError("give a prediction and a gold answer, or --file with a jsonl file of both")
    text = standard_input() if prediction == "-" else prediction
    raise typer.Exit(grade_pair(text, gold, form, extract, json, console()))
