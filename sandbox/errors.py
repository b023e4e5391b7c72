"""What can go wrong with the sandbox itself, as opposed to the code it runs.

These are never shown to a model as if its code had failed: a cell's own error is part of its `CellResult`.
"""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox failed. The message is one line and says what to do next."""


class DockerUnavailable(SandboxError):
    """No Docker Engine answers."""


class ImageMissing(SandboxError):
    """The sandbox image has not been built."""


class KernelFailed(SandboxError):
    """The kernel did not start, or its container was taken away."""
