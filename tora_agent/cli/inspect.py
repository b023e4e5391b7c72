"""Look at runs: `tora show`, `view`, `report`, `query`, `errors`, `replay`, `export`, `fork`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tora_agent.cli.app import app, console, examples
from tora_agent.cli.options import Given, LogDir, RunName, calling, solving, taking


@app.command(
    short_help="List a run's samples, or show one step by step.",
    epilog=examples(
        "tora show last",
        "tora show runs/20260101-120000-sample-tora-x sample/algebra/3",
        "tora show trajectory.json",
    ),
)
def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run: a path, a name under the log directory, or last; or a file of solve --json or chat's /save.",
        ),
    ],
    id: Annotated[str | None, typer.Argument(help="A problem's id, or its end.")] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """List a run's trajectories with their verdicts, or show one."""
    from evals.runs import Run
    from evals.runs.run import find_run
    from evals.show import show_file, show_run, show_trajectory

    if id is None and os.path.isfile(run):
        return show_file(Path(run), console())
    opened = Run.read(find_run(run, log_dir))
    if id is None:
        return show_run(opened, console())
    return show_trajectory(opened, id, console())


@app.command(
    short_help="Look at runs in the browser.",
    epilog=examples("tora view last", "tora view runs/one runs/other", "tora view last --port 8000"),
)
def view(
    run: Annotated[list[str], typer.Argument(help="Runs: paths, names under the log directory, or last.")],
    port: Annotated[
        int | None, typer.Option(help="Port on loopback; 0 for a free one. Default: 7420.", min=0, max=65535)
    ] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Look at runs in the browser: figures, lists, trajectories, two runs compared. Read-only, on loopback, offline.

    The first time, a run is indexed. A run that is not complete is followed while it grows.
    """
    from evals.runs.run import find_run
    from evals.viewer.server import view as serve

    serve([find_run(each, log_dir) for each in run], port, console())


@app.command(
    short_help="Write a run as one HTML file.",
    epilog=examples("tora report last -o report.html", "tora report last -o short.html --limit 20"),
)
def report(
    run: RunName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("report.html"),
    limit: Annotated[
        int, typer.Option(help="Samples in full, those that are not correct first; the list has more.", min=0)
    ] = 200,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Write a run as one self-contained HTML file, to mail or to archive: figures, list, trajectories."""
    from evals.runs.run import find_run
    from evals.viewer.report import write_report

    write_report(find_run(run, log_dir), output, limit, console())


@app.command(
    short_help="Ask a run's index in SQL.",
    epilog=examples(
        "tora query last",
        'tora query last "SELECT verdict, cause, count(*) FROM trajectories GROUP BY 1, 2"',
        'tora query last "SELECT error, count(*) FROM cells WHERE error NOT NULL GROUP BY 1 ORDER BY 2 DESC"',
        "tora query last \"SELECT problem_id, avg(verdict = 'correct') FROM trajectories GROUP BY 1 ORDER BY 2\"",
        "tora query last \"SELECT code LIKE '%sympy%', avg(error NOT NULL), avg(seconds) FROM cells GROUP BY 1\"",
        "tora query last \"SELECT rowid FROM words WHERE words MATCH 'code: solve'\" --format csv",
    ),
)
def query(
    run: RunName,
    sql: Annotated[str | None, typer.Argument(help="A query (sqlite). Without one: the tables and columns.")] = None,
    format: Annotated[str, typer.Option(help="table, csv, or json (an object per line).")] = "table",
    log_dir: LogDir = Path("runs"),
) -> None:
    """Ask a run's index in SQL: trajectories, steps, cells, grades, tags. Nothing can be changed."""
    from evals.index.progress import open_with_progress
    from evals.index.query import run_query, tables
    from evals.runs.run import find_run

    index = open_with_progress(find_run(run, log_dir), console(stderr=True))
    if sql is None:
        print(tables())
    else:
        run_query(index, sql, format, console())


@app.command(
    short_help="Say why the wrong samples of a run are wrong.",
    epilog=examples("tora errors last", "tora errors last --examples 10"),
)
def errors(
    run: RunName,
    examples: Annotated[int, typer.Option(help="Samples shown of each kind.", min=0)] = 3,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Say why a run's wrong samples are wrong: counts by cause, with examples and their evidence (docs/failures.md)."""
    from evals.failures.table import show_errors
    from evals.runs import Run
    from evals.runs.run import find_run

    show_errors(Run.read(find_run(run, log_dir)), examples, console())


@app.command(
    short_help="Run the recorded cells again and compare.",
    epilog=examples(
        "tora replay last",
        "tora replay last algebra/2584.json",
        "tora replay runs/mine --cell-seconds 10 --differences differences.jsonl",
    ),
)
def replay(
    run: RunName,
    id: Annotated[str | None, typer.Argument(help="A problem's id, or its end. Default: all.")] = None,
    concurrency: Annotated[int, typer.Option(help="Trajectories replayed at a time.", min=1)] = 4,
    cell_seconds: Annotated[
        float | None, typer.Option(help="Time limit of one cell. Default: the recorded one.", min=0.1)
    ] = None,
    differences: Annotated[Path | None, typer.Option(help="Write the cells that differ here, as jsonl.")] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Run the recorded cells again in fresh kernels, compare what they bring, and say what differs and why.

    Exit status 0 if all came out again, 1 if not, 2 for a usage or set-up error.
    """
    from evals.replay.command import replay_command
    from evals.runs import Run
    from evals.runs.run import find_run

    opened = Run.read(find_run(run, log_dir))
    raise typer.Exit(replay_command(opened, id, concurrency, cell_seconds, differences, console()))


@app.command(
    short_help="Write samples as notebooks, chat messages or ATIF.",
    epilog=examples(
        "tora export last algebra/2584.json --format notebook -o solution.ipynb",
        "tora export last --format sft --dialect tools --verdict correct -o train.jsonl",
        "tora export last --format atif -o atif",
    ),
)
def export(
    run: RunName,
    id: Annotated[str | None, typer.Argument(help="A problem's id, or its end. Default: all.")] = None,
    format: Annotated[
        str, typer.Option(help="notebook: Jupyter; sft: chat messages, jsonl; atif: the agent trajectory format.")
    ] = "notebook",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file; for several notebooks or ATIF documents, a folder.")
    ] = None,
    sample: Annotated[int | None, typer.Option(help="Only this sample of each problem.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only samples of this verdict: correct, wrong, ...")] = None,
    dialect: Annotated[
        str | None, typer.Option(help="With sft: fence, turns or tools. Default: the one it was made with.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="With sft: the prompt set that words the messages.")] = None,
    log_dir: LogDir = Path("runs"),
) -> None:
    """Write samples as notebooks that run in the sandbox, as chat messages for fine-tuning, or as ATIF documents."""
    from evals.exporting.command import Wanted, export_command
    from evals.runs import Run
    from evals.runs.run import find_run

    wanted = Wanted(format, id, sample, verdict, dialect, prompt, out)
    if written := export_command(Run.read(find_run(run, log_dir)), wanted):
        console().print(written, soft_wrap=True, highlight=False, markup=False)


@app.command(
    short_help="Go on from a step of a sample, with other settings.",
    epilog=examples(
        "tora fork last algebra/2584.json --at 3",
        "tora fork last algebra/2584.json --at 0 --prompt csv --model gpt-4o",
        "tora fork runs/mine geometry/7 --sample 2 --at 6 --temperature 0.7 --seed 5",
    ),
)
@taking(solving, calling)
def fork(
    run: RunName,
    id: Annotated[str, typer.Argument(help="A problem's id, or its end.")],
    at: Annotated[int, typer.Option(help="The step that is made anew, with what follows; `tora show` numbers them.")],
    sample: Annotated[int | None, typer.Option(help="Which sample, where there are several.")] = None,
    log_dir: LogDir = Path("runs"),
    *,
    given: Given,
) -> None:
    """Go on from a step of a recorded sample: its earlier cells are run again, then the model is asked anew.

    Model, prompt set and settings are the run's own where not given, whatever the default that stands below: those are
    of a new run. The outcome is graded and written as a run of its own, which names its parent.
    """
    from evals.forking import fork_command
    from evals.runs import Run
    from evals.runs.run import find_run

    fork_command(Run.read(find_run(run, log_dir)), given, console())
