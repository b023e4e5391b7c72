"""The viewer's addresses. Everything is read; nothing can be changed from here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from evals.index import Index
from evals.index.filters import Filter
from evals.index.lists import Row, rows_of_problem
from evals.index.summary import summarise
from evals.runs.differences import differences
from evals.viewer import pages
from evals.viewer.bug_report import bug_report
from evals.viewer.comparison import SHOWN, compare
from evals.viewer.guard import Guard
from evals.viewer.library import Library
from evals.viewer.links import ServerLinks
from evals.viewer.rendering import render
from evals.viewer.step_texts import whole_text
from tora_agent.errors import ToraError, UsageError


def make_app(library: Library, token: str) -> Guard:
    """The application that shows the runs of `library` to who has `token`."""
    pages_of = _Pages(library)
    static = StaticFiles(directory=Path(__file__).with_name("static"))
    routes = [
        Route("/", pages_of.runs),
        Route("/compare", pages_of.compare),
        Route("/run/{run}", pages_of.run),
        Route("/run/{run}/list", pages_of.list),
        Route("/run/{run}/trajectory", pages_of.trajectory),
        Route("/run/{run}/beside", pages_of.beside),
        Route("/run/{run}/whole", pages_of.whole),
        Route("/run/{run}/notebook", pages_of.notebook),
        Route("/run/{run}/version", pages_of.version),
        Mount("/static", static),
    ]
    handlers = {ToraError: _failed, HTTPException: _failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), token)


class _Pages:
    """One method for each address. They run in threads."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def runs(self, request: Request) -> Response:
        names = list(self.library.runs)
        if len(names) == 1:
            return RedirectResponse(ServerLinks(names[0]).run(), 303)
        runs = [
            {"name": name, "run": index.run, "links": ServerLinks(name), "figures": summarise(index)}
            for name in names
            for index in [self.library[name]]
        ]
        return _html("runs.html", {"title": "Runs", "runs": runs})

    def run(self, request: Request) -> Response:
        index, links = self._opened(request)
        live = self._live(index, links)
        page = pages.run_page(index, links) | {"parent": self._parent(index)}
        return _html("run.html", page | live)

    def list(self, request: Request) -> Response:
        index, links = self._opened(request)
        number = request.query_params.get("page", "1")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 1
        live = self._live(index, links)
        found = pages.list_page(index, links, Filter.of(request.query_params), page)
        return _html("list.html", found | live)

    def trajectory(self, request: Request) -> Response:
        index, links = self._opened(request)
        row = self._row(index, request)
        page = pages.trajectory_page(index, links, row, Filter.of(request.query_params))
        report = bug_report(index.run.folder, row, page["trajectory"], page["tags"])
        return _html("trajectory.html", page | {"bug_report": report, "forks": self._forks(links, row)})

    def beside(self, request: Request) -> Response:
        index, links = self._opened(request)
        name = request.query_params.get("run", links.name)
        other = self.library[name]
        id_ = request.query_params.get("id", "")
        rows = self._row(index, request), pages.row_of(other, id_, request.query_params.get("other", ""))
        return _html("beside.html", pages.beside_page((index, other), (links, ServerLinks(name)), rows))

    def compare(self, request: Request) -> Response:
        names = [request.query_params.get(name, "") for name in ("a", "b")]
        first, second = (self.library[name] for name in names)
        comparison = compare(first, second)
        changed = [each for each in comparison.problems if each.change]
        shown = (changed + [each for each in comparison.problems if not each.change])[: max(SHOWN, len(changed))]
        links = {"links_a": ServerLinks(names[0]), "links_b": ServerLinks(names[1])}
        page = {"title": "Compare", "names": names, "comparison": comparison, "shown": shown}
        page |= {"differences": differences(first.run.manifest, second.run.manifest)}
        return _html("compare.html", page | links)

    def whole(self, request: Request) -> Response:
        index, _ = self._opened(request)
        steps = index.trajectory(self._row(index, request)).steps
        number = request.query_params.get("step", "")
        if not (number.isascii() and number.isdigit() and int(number) < len(steps)):
            raise UsageError(f"there is no step {number!r}; there are {len(steps)}")
        return PlainTextResponse(whole_text(steps[int(number)]))

    def notebook(self, request: Request) -> Response:
        import nbformat  # takes a second, which the viewer's start should not

        from evals.exporting.notebook import notebook

        index, _ = self._opened(request)
        row = self._row(index, request)
        name = quote(f"{row['problem_id']}-{row['sample']}.ipynb".replace("/", "-"))
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        book = nbformat.writes(notebook(index.trajectory(row)))
        return Response(book, media_type="application/x-ipynb+json", headers=headers)

    def version(self, request: Request) -> Response:
        index = self.library.runs.get(request.path_params["run"])
        if index is None:
            raise UsageError("there is no such run here")
        return JSONResponse({"version": index.version})

    def _opened(self, request: Request) -> tuple[Index, ServerLinks]:
        name = request.path_params["run"]
        return self.library[name], ServerLinks(name)

    def _row(self, index: Index, request: Request) -> Row:
        return pages.row_of(index, request.query_params.get("id", ""), request.query_params.get("sample", ""))

    def _parent(self, index: Index) -> str | None:
        """The address of the step that a fork goes on from, where its run is open, too."""
        name, parent = self.library.parent_of(index), index.run.manifest.parent
        return ServerLinks(name).trajectory(parent.model_dump(), step=parent.step) if name and parent else None

    def _forks(self, links: ServerLinks, row: Row) -> Sequence[pages.Page]:
        """The forks of a sample, with the addresses where they and it stand side by side."""
        found = self.library.forks_of(links.name, row["problem_id"], row["sample"])
        return [
            {"name": name, "step": step, "address": links.beside(row, fork, name)}
            for name, step in found
            for fork in rows_of_problem(self.library[name], row["problem_id"])
        ]

    def _live(self, index: Index, links: ServerLinks) -> pages.Page:
        """What a page needs to follow a run that is not complete.

        To be asked before the page is made: what that shows may be newer than its version, but never older, or it would
        not be made again.
        """
        graded = index.one("SELECT count(verdict) FROM trajectories")
        if graded >= index.expected:
            return {}
        return {"live": {"version": index.known, "at": links.version()}}


def _html(template: str, page: pages.Page, status: int = 200) -> Response:
    begin = time.perf_counter()
    text = render(template, page)
    timing = f"render;dur={1000 * (time.perf_counter() - begin):.0f}"
    return HTMLResponse(text.encode(errors="replace"), status, {"Server-Timing": timing})


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _html("error.html", {"title": "There is no such page", "message": request.url.path}, error.status_code)
    title, status = ("That is not here", 404) if isinstance(error, UsageError) else ("That failed", 500)
    return _html("error.html", {"title": title, "message": str(error)}, status)
