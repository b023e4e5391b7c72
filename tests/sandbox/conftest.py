"""A sandbox of each isolation: the same tests for both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import docker
import pytest

from sandbox import CellResult, Isolation, Sandbox, Session
from sandbox.container import LABEL, owner
from tests.conftest import PATIENCE


@pytest.fixture(scope="module", params=list(Isolation))
def isolation(request: pytest.FixtureRequest) -> Isolation:
    found: Isolation = request.param
    return found


@pytest.fixture
async def box(engine: docker.DockerClient, isolation: Isolation) -> AsyncIterator[Sandbox]:
    async with Sandbox(isolation=isolation) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
async def session(engine: docker.DockerClient, isolation: Isolation) -> AsyncIterator[Session]:
    """One kernel for all tests of a module that leave it as good as they found it."""
    async with Sandbox(isolation=isolation) as box, box.session() as session:
        yield session


async def fine(session: Session, code: str) -> CellResult:
    """The result of a cell that must succeed."""
    result = await session.run(code, timeout=PATIENCE)
    assert result.error is None, result.text
    return result


def containers(engine: docker.DockerClient, name: str = "", **filters: str) -> set[str]:
    """The containers of an owner, this process if none is named."""
    label = f"{LABEL}={name or owner()}"
    found = engine.containers.list(all=True, filters=filters | {"label": label}, ignore_removed=True)
    return {str(container.id) for container in found}
