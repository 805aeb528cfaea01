"""One filled line for all tests of the interface: it takes some seconds to make, and they only read it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api.line import Line


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = Line(tmp_path_factory.mktemp("line"))
    yield made
    made.close()


@pytest.fixture
def client(line: Line) -> Iterator[httpx.Client]:
    with line.client() as client:
        yield client


@pytest.fixture(scope="session")
def fence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line for records of commissioning, which stay: one point, and nobody who only reads."""
    made = Line(tmp_path_factory.mktemp("fence"), points=("fence-north",))
    yield made
    made.close()
