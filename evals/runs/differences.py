"""What two runs were made with that is not the same."""

from __future__ import annotations

from typing import Any, NamedTuple

from evals.runs.run import Manifest


class Difference(NamedTuple):
    """A fact of two manifests, as each has it."""

    name: str
    """As the option is called, where there is one."""
    first: str
    second: str


def differences(first: Manifest, second: Manifest) -> list[Difference]:
    """The facts that decide a number and are not the same; of imported runs, as far as they are known."""
    one, other = _facts(first), _facts(second)
    return [
        Difference(name.replace("_", "-"), *("-" if fact is None else str(fact) for fact in (value, other[name])))
        for name, value in one.items()
        if name in other and value != other[name]
    ]


def _facts(manifest: Manifest) -> dict[str, Any]:
    m = manifest
    grading = m.gradings[-1].versions if m.gradings else {}
    facts = {
        "model": m.model_reported or m.model,
        "endpoint": m.endpoint,
        "prompt": f"{m.settings.prompt} ({m.prompt_sha256[:8]})" if m.prompt_sha256 else m.settings.prompt,
        "data": f"{m.benchmark} ({m.data_sha256[:8]})",
        "samples": m.samples,
        "stop_early": m.stop_early,
    }
    if not m.imported:
        image = {"sandbox image": m.image_id.removeprefix("sha256:")[:12]}
        facts = m.settings.model_dump() | facts | {"dialect": m.dialect, "limit": m.limit, "spread": m.spread} | image
    return facts | m.versions | grading
