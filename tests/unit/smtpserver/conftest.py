"""One recording server for all tests of this folder. It has no fault at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.smtpserver import Behaviour, RunningServer


@pytest.fixture(scope="package")
def process() -> Iterator[RunningServer]:
    with RunningServer(keep_raw=True) as server:
        yield server


@pytest.fixture
def server(process: RunningServer) -> RunningServer:
    process.kick()
    process.become(Behaviour())
    return process
