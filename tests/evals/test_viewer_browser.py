"""The viewer in a real browser: what it shows, what the keyboard does, and that nothing that it shows can act."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from evals.grading import Verdict
from evals.runs import Run
from tests.evals.hostile import hostile_sample
from tests.evals.making import grade, manifest, trajectory
from tests.evals.running import PATIENCE, tora_in
from tests.evals.shown import shown_run
from tests.evals.viewing import Served, Watched, browsing, viewing

FIRST, SECOND, HOSTILE = "first", "second", "hostile"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the bundled problems, and one of hostile content."""
    folder = tmp_path_factory.mktemp("viewed")
    shown_run(folder / FIRST).close()
    shown_run(folder / SECOND, seed=9, skill=0.75).close()
    made, graded = hostile_sample()
    run = Run.create(folder / HOSTILE, manifest(problem_ids=[made.problem_id], samples=1, model=made.model))
    run.add(made)
    run.add(graded)
    run.close()
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with viewing(folder, folder / FIRST, folder / SECOND, folder / HOSTILE) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def watched(browser: Browser, served: Served) -> Iterator[Watched]:
    """A page that has the token."""
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        watched = Watched(context.new_page())
        watched.open(served.address)
        yield watched
        assert watched.complaints == []
        assert [each for each in watched.asked if not each.startswith((served.base, "data:"))] == []


def run_address(served: Served, name: str, page: str = "") -> str:
    return f"{served.base}/run/{name}{page}"


def test_the_token_leaves_the_address(watched: Watched, served: Served) -> None:
    assert watched.page.url == f"{served.base}/"
    assert watched.page.locator("main tbody tr, main table tr").count() >= 3


@pytest.mark.parametrize(("name", "width"), [(FIRST, 400), (FIRST, 1400), (HOSTILE, 400)])
def test_pages_fit_and_have_landmarks(watched: Watched, served: Served, name: str, width: int) -> None:
    watched.page.set_viewport_size({"width": width, "height": 900})
    page = watched.open(run_address(served, name))
    addresses = [page.url, run_address(served, name, "/list")]
    page.goto(addresses[1])
    addresses.append(page.locator("#rows tbody a").first.evaluate("link => link.href"))
    for address in addresses:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert [page.locator(each).count() for each in ("main", "header nav[aria-label]", "h1")] == [1, 1, 1]
        assert page.evaluate(UNLABELLED) == []


UNLABELLED = """() => [...document.querySelectorAll("a, button, input, select")]
    .filter((each) => !(each.innerText || each.labels?.length || each.getAttribute("aria-label") || each.title))
    .map((each) => each.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, served: Served, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    with browser.new_context(color_scheme=scheme) as context:
        watched = Watched(context.new_page())
        page = watched.open(served.address)
        for address in ("", "/list", "/list?verdict=wrong"):
            page.goto(run_address(served, FIRST, address))
            assert page.evaluate(FAINT) == []
        with watched.leaving("**/trajectory?*"):
            page.locator("#rows tbody a").first.click()
        assert page.locator(".story").is_visible()
        assert page.evaluate(FAINT) == []


FAINT = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg")) continue;
    const both = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    const contrast = (both[0] + 0.05) / (both[1] + 0.05);
    if (contrast < 4.5) faint.push(`${element.outerHTML.slice(0, 120)} ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


def test_numbers_lead_to_their_samples(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, FIRST))
    links = page.locator(".bars tr:has(a)").evaluate_all(
        "rows => rows.map(row => [row.querySelector('a').href, row.querySelector('.n').innerText])"
    )
    assert len(links) > 10
    for address, count in links:
        assert f'role="status">{count} sample' in page.request.get(address).text(), address


def test_heat_map_cells_lead_to_their_samples(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, FIRST))
    with watched.leaving("**/list?*"):
        page.get_by_role("row", name="Geometry").get_by_role("link").nth(1).click()
    assert "subject=Geometry" in page.url and "level=2" in page.url
    assert page.locator("p.count").inner_text() == "4 samples"


def test_keyboard_goes_through_list_and_samples(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, FIRST, "/list?verdict=wrong"))
    names = page.locator("#rows tbody .id").all_inner_texts()
    focused = "document.activeElement.closest('tr')?.querySelector('.id').innerText"
    for key, name in (("j", names[0]), ("j", names[1]), ("j", names[2]), ("k", names[1])):
        page.keyboard.press(key)
        assert page.evaluate(focused) == name
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    for key, name in (("Enter", names[1]), ("j", names[2]), ("k", names[1])):
        with watched.leaving("**/trajectory?*"):
            page.keyboard.press(key)
        assert page.locator("h1").inner_text() == name
    with watched.leaving("**/list?*"):
        page.keyboard.press("u")
    assert page.url == run_address(served, FIRST, "/list?verdict=wrong")
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.locator("#q").input_value() == "jk"


def test_a_filter_is_an_address(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, FIRST, "/list"))
    with watched.leaving("**/list?verdict=wrong"):
        page.select_option("#f-verdict", "wrong")
    with watched.leaving("**level=5*"):
        page.select_option("#f-level", "5")
    assert set(page.locator("#rows .verdict").all_inner_texts()) == {"✗ wrong"}
    page.fill("#q", "no-such-word")
    with watched.leaving("**q=no-such-word*"):
        page.keyboard.press("Enter")
    assert page.locator("p.empty").is_visible()
    assert page.locator("#f-verdict").input_value() == "wrong"


def test_a_trajectory_tells_its_story(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, FIRST, "/list?error=NameError&flip=retried"))
    with watched.leaving("**/trajectory?*"):
        page.locator("#rows tbody a").first.click()
    assert page.locator(".problem math").count()
    assert "NameError: name 'candidates' is not defined" in page.locator(".out.bad").first.inner_text()
    assert page.locator("pre.code .k, pre.code .kn").count()
    assert page.locator(".k-verification .state").count()
    assert page.locator(".k-retry").count()
    evidence = page.locator(".tags a[href^='#step-']").first
    evidence.click()
    page.locator(":target").wait_for(state="attached")
    assert page.locator(".chips a").count() == 4
    with watched.leaving("**beside*"):
        page.get_by_role("link", name="Side by side").click()
    assert page.locator(".beside > section").count() == 2


def test_a_bug_report_is_copied(watched: Watched, served: Served) -> None:
    watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched.open(run_address(served, FIRST, "/trajectory?id=sample/algebra/1&sample=0"))
    page.evaluate(LABELLED_ANEW)
    page.get_by_role("button", name="Copy as bug report").click()
    assert page.evaluate("window.label") == "Copied"
    text = page.evaluate("navigator.clipboard.readText()")
    assert "- sample: sample/algebra/1 #0" in text
    assert "```python" in text


LABELLED_ANEW = """() => {
  const button = document.querySelector("[data-copies]");
  window.label = new Promise((told) => {
    new MutationObserver(() => told(button.textContent)).observe(button, {childList: true});
  });
}"""
"""Keeps the button's next label, which stands there for a moment only."""


def test_compared_runs_show_flips_first(watched: Watched, served: Served) -> None:
    page = watched.open(f"{served.base}/compare?a={FIRST}&b={SECOND}")
    rows = page.locator("#rows tbody tr")
    changes = rows.evaluate_all("rows => rows.map(row => row.cells[3].innerText)")
    assert len(changes) == 35
    flipped = [change != "same" for change in changes]
    assert flipped == sorted(flipped, reverse=True) and any(flipped)
    with watched.leaving("**beside*"):
        page.locator("#rows a").first.click()
    verdicts = page.locator(".beside .ruling .verdict").all_inner_texts()
    assert len(verdicts) == 2 and verdicts.count("✓ correct") == 1


def test_hostile_content_does_nothing(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, HOSTILE, "/list"))
    with watched.leaving("**/trajectory?*"):
        page.locator("#rows tbody a").first.click()
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
    page.locator("a, summary").evaluate_all("all => all.forEach(each => each.dispatchEvent(new Event('mouseover')))")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main iframe, main form, main svg, main style, main img").count() == 0
    assert page.evaluate(ACTING) == []
    text = page.locator("main").inner_text()
    assert "\x1b" not in text and "\u202e" not in text and "⟦U+202E⟧" in text
    assert len(text) < 1_000_000


ACTING = """() => [...document.querySelectorAll("main *")].filter((each) =>
    [...each.attributes].some(({name, value}) => /^on|^style$|srcdoc/.test(name) || /^javascript:/i.test(value))
    || (each.localName === "a" && new URL(each.href).host !== location.host)).map((each) => each.outerHTML)"""


def test_a_long_output_is_there_whole_as_plain_text(watched: Watched, served: Served) -> None:
    page = watched.open(run_address(served, HOSTILE, "/list"))
    with watched.leaving("**/trajectory?*"):
        page.locator("#rows tbody a").first.click()
    address = page.locator("#step-2 a[href*=whole]").evaluate("link => link.href")
    response = page.request.get(address)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.body()) > 5_000_000


def test_a_growing_run_is_followed(browser: Browser, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "growing", manifest())
    run.add(trajectory())
    run.add(grade(Verdict.WRONG))
    with viewing(tmp_path, run.folder) as served, browser.new_context() as context:
        watched = Watched(context.new_page())
        page = watched.open(served.address)
        page.get_by_text("1 of 4 samples are there").wait_for()
        run.add(trajectory(sample=1))
        run.add(grade(sample=1))
        page.get_by_text("2 of 4 samples are there").wait_for()
        expect(page.locator(".score")).to_have_text("50.0 %", timeout=1000 * PATIENCE)
        assert watched.complaints == []
    run.close()


def test_the_report_needs_no_server(browser: Browser, folder: Path) -> None:
    done = tora_in(folder, "report", folder / FIRST, "-o", "report.html", "--limit", 20)
    assert done.status == 0, done.err
    with browser.new_context() as context:
        watched = Watched(context.new_page())
        page = watched.open((folder / "report.html").as_uri())
        page.locator(".bars a", has_text="wrong").first.click()
        page.locator("#count", has_text="listed samples").wait_for()
        shown = page.locator("#rows tbody tr:visible .verdict").all_inner_texts()
        assert shown and "✓ correct" not in shown
        page.locator("#rows tbody tr:visible a").first.click()
        page.locator("details.report-sample[open] .step").first.wait_for()
        assert watched.complaints == []
        assert {each.partition(":")[0] for each in watched.asked} <= {"file", "data"}


def test_a_hostile_report_does_nothing(browser: Browser, folder: Path) -> None:
    done = tora_in(folder, "report", folder / HOSTILE, "-o", "hostile.html")
    assert done.status == 0, done.err
    with browser.new_context() as context:
        watched = Watched(context.new_page())
        page = watched.open((folder / "hostile.html").as_uri())
        page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
        assert page.evaluate("window.hacked") is None
        assert page.locator("main script, main iframe, main form, main style, .steps svg").count() == 0
        assert page.evaluate(ACTING) == []
        assert watched.complaints == []
        assert {each.partition(":")[0] for each in watched.asked} <= {"file", "data"}
