"""Prompt sets: what loads, what is refused, and that every worked example is true."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from prompts import PromptError, PromptSet, load_prompt, prompt_names
from prompts.sets import Example, render
from sandbox import Sandbox
from tora_agent.agent import checked_prompt
from tora_agent.answers import last_box
from tora_agent.dialects.fences import read_reply
from tora_agent.errors import UsageError
from tora_agent.settings import AgentSettings
from tora_agent.verification import CHECK_FUNCTION, read_state

MINIMAL = "about: a test\ncode: none\nproblem: '{{ problem }}'\n"


def written(folder: Path, text: str, name: str = "own.yaml") -> str:
    """The path of a prompt set with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def replies(example: Example) -> list[str]:
    return [turn["assistant"] for turn in example.turns if "assistant" in turn]


def boxed_answers() -> dict[str, str]:
    """The right answer of each problem that the examples are about."""
    answers = {e.values["problem"]: last_box(replies(e)[-1]) for e in load_prompt("tora").examples}
    return {problem: answer for problem, answer in answers.items() if answer}


async def printed(box: Sandbox, prompt: PromptSet) -> list[list[str]]:
    """What each code block of each example prints; a kernel for each example."""

    async def run(example: Example) -> list[str]:
        async with box.session() as session:
            codes = [read_reply(reply).code for reply in replies(example)]
            results = [await session.run(code) for code in codes if code is not None]
        assert not any(result.error or result.stderr for result in results)
        return [result.text.strip() for result in results]

    return await asyncio.gather(*map(run, prompt.examples))


# The bundled sets


def test_the_names_are_those_of_the_sets_that_solve_problems() -> None:
    assert prompt_names() == ["cot", "csv", "pal", "tora"]


@pytest.mark.parametrize("name", [*prompt_names(), "check"])
def test_a_bundled_set_loads_and_begins_a_conversation(name: str) -> None:
    prompt = load_prompt(name)
    messages = prompt.start(None, problem="How many?", answer="5")
    assert prompt.name == name
    assert "How many?" in messages[-1]["content"]
    assert [m["role"] for m in messages[:2]] == ["system", "user"]
    assert all({a["role"], b["role"]} != {"user"} for a, b in pairwise(messages))
    assert all(m["content"].strip() == m["content"] != "" for m in messages)


def test_csv_is_tora_with_a_check() -> None:
    csv, tora = load_prompt("csv"), load_prompt("tora")
    own = {"name", "about", "check"}
    assert csv.model_dump(exclude=own) == tora.model_dump(exclude=own)
    assert (csv.check, tora.check) == ("check", None)


def test_all_sets_work_the_same_problems() -> None:
    problems = [[e.values["problem"] for e in load_prompt(name).examples] for name in [*prompt_names(), "check"]]
    assert problems[0]
    assert all(those == problems[0] for those in problems)


def test_cot_examples_reach_the_answers_of_the_tora_examples() -> None:
    assert {e.values["problem"]: last_box(replies(e)[-1]) for e in load_prompt("cot").examples} == boxed_answers()


@pytest.mark.anyio
async def test_tora_examples_print_what_they_state(box: Sandbox) -> None:
    tora = load_prompt("tora")
    stated = [[turn["output"].strip() for turn in e.turns if "output" in turn] for e in tora.examples]
    assert await printed(box, tora) == stated
    assert all(stated)
    assert len(boxed_answers()) == len(tora.examples)


@pytest.mark.anyio
async def test_pal_examples_print_the_answer(box: Sandbox) -> None:
    pal, answers = load_prompt("pal"), boxed_answers()
    assert await printed(box, pal) == [[answers[e.values["problem"]]] for e in pal.examples]


@pytest.mark.anyio
async def test_check_examples_say_whether_the_proposed_answer_is_right(box: Sandbox) -> None:
    check, answers = load_prompt("check"), boxed_answers()
    right = [answers[e.values["problem"]] == e.values["answer"].strip() for e in check.examples]
    for example, expected in zip(check.examples, right, strict=True):
        (reply,) = replies(example)
        async with box.session() as session:
            await session.run(CHECK_FUNCTION)
            result = await session.run(read_reply(reply).code or "")
        assert read_state(result)[::2] == (str(expected), "called")
    assert {True, False} == set(right)


# Shots


def test_shots_take_the_first_examples() -> None:
    tora = load_prompt("tora")
    whole = tora.start(None, problem="P")
    assert tora.start(len(tora.examples), problem="P") == whole
    assert len(tora.start(0, problem="P")) == 2
    one = tora.start(1, problem="P")
    assert one[:-1] == whole[: len(one) - 1]
    assert one[-1] == {"role": "user", "content": "P"}
    assert sum("Substituting the line" in m["content"] for m in one) == 1
    assert not any("password" in m["content"] for m in one)


def test_more_shots_than_examples_are_refused() -> None:
    tora = load_prompt("tora")
    with pytest.raises(PromptError, match="has 4 examples, fewer than 5 shots"):
        tora.start(5, problem="P")
    with pytest.raises(UsageError, match="fewer than 5 shots"):
        checked_prompt(AgentSettings(prompt="tora", shots=5))


# Placeholders


def test_a_placeholder_without_a_value_fails() -> None:
    with pytest.raises(PromptError, match="'problem' is undefined"):
        load_prompt("tora").start(None)
    with pytest.raises(PromptError, match="'nothing' is undefined"):
        render("{{ nothing }}")


def test_a_broken_template_fails_in_one_line() -> None:
    with pytest.raises(PromptError) as caught:
        render("{{ problem", problem="P")
    assert "\n" not in str(caught.value)


def test_values_are_not_templates() -> None:
    text = "Let {{ x }} and {% raw %} and {# y #} <b> & \\frac{1}{2}"
    assert render("{{ problem }}", problem=text) == text
    assert load_prompt("cot").start(0, problem=text)[-1]["content"] == text


# Sets of one's own


def test_a_set_from_a_file(tmp_path: Path) -> None:
    prompt = load_prompt(written(tmp_path, MINIMAL))
    assert (prompt.name, prompt.code, prompt.examples) == ("own", "none", [])
    assert prompt.start(None, problem="P") == [{"role": "user", "content": "P"}]


def test_a_set_extends_another(tmp_path: Path) -> None:
    prompt = load_prompt(written(tmp_path, "about: shorter\nextends: csv\nsystem: Be brief.\n"))
    csv = load_prompt("csv")
    assert (prompt.name, prompt.about, prompt.system) == ("own", "shorter", "Be brief.")
    assert (prompt.examples, prompt.check) == (csv.examples, "check")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "colour: red\n", "colour"),
        (MINIMAL + "extends: nothing\n", "unknown prompt set 'nothing'; there are cot, csv, pal, tora"),
        ("about: a test\ncode: none\n", "problem: Field required"),
        (MINIMAL.replace("none", "sometimes"), "code: "),
        (MINIMAL + "examples: [{values: {problem: P}, turns: [{user: x}]}]\n", "examples.0.turns.0"),
        ("about: [unclosed", "own.yaml: "),
        ("just text", "own.yaml: "),
        ("", "own.yaml: "),
        ("about: \udcff", "own.yaml: "),
    ],
)
def test_a_malformed_set_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PromptError) as caught:
        load_prompt(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_set_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="unknown prompt set 'nothing'; there are cot, csv, pal, tora"):
        load_prompt("nothing")
    with pytest.raises(
        PromptError, match=r"missing\.yaml cannot be read: No such file .* or one of cot, csv, pal, tora"
    ):
        load_prompt(str(tmp_path / "missing.yaml"))
    with pytest.raises(UsageError, match="unknown prompt set"):
        checked_prompt(AgentSettings(prompt="nothing"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("check: nothing", "unknown prompt set 'nothing'"),
        ("system: x\nproblem: '{{ question }}'", "'question' is undefined"),
        ("output: '{{ outptu }}'", "'outptu' is undefined"),
        ("retry: '{{ reason }}'", "'reason' is undefined"),
    ],
)
def test_a_set_that_could_not_be_carried_through_is_refused_before_any_call(
    tmp_path: Path, line: str, words: str
) -> None:
    path = written(tmp_path, f"about: a test\nextends: csv\n{line}\n")
    with pytest.raises(UsageError, match=words):
        checked_prompt(AgentSettings(prompt=path))


def test_a_set_that_extends_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"about: a test\nextends: {path}\n", encoding="utf-8")
    with pytest.raises(PromptError, match=r"own\.yaml: "):
        load_prompt(str(path))


# The hash


def test_the_hash_is_that_of_the_texts(tmp_path: Path) -> None:
    first = load_prompt(written(tmp_path, MINIMAL))
    again = load_prompt(written(tmp_path, "# a comment\n" + MINIMAL))
    other = load_prompt(written(tmp_path, MINIMAL.replace("a test", "another test")))
    assert first.sha256 == again.sha256 != other.sha256
    assert len({load_prompt(name).sha256 for name in prompt_names()}) == 4


def test_the_hash_covers_the_check(tmp_path: Path) -> None:
    check = written(tmp_path, MINIMAL, "check.yaml")
    own = written(tmp_path, MINIMAL + f"check: {check}\n")
    before = load_prompt(own).sha256
    written(tmp_path, MINIMAL + "system: Be strict.\n", "check.yaml")
    assert load_prompt(own).sha256 != before
