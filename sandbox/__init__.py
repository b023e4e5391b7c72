"""Run Python that you did not write in a Jupyter kernel inside a locked-down Docker container.

This package knows nothing of models or mathematics and can be used alone.
"""

from __future__ import annotations

from sandbox.box import Sandbox
from sandbox.errors import DockerUnavailable, ImageMissing, KernelFailed, SandboxError
from sandbox.result import CellError, CellResult
from sandbox.session import Session
from sandbox.settings import Isolation, Limits

__all__ = [
    "CellError",
    "CellResult",
    "DockerUnavailable",
    "ImageMissing",
    "Isolation",
    "KernelFailed",
    "Limits",
    "Sandbox",
    "SandboxError",
    "Session",
]
