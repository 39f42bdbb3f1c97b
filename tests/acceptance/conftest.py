"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from playwright.sync_api import Browser, Page

from batches.jobs import queues
from emailbatch.localstack import addresses
from tests.acceptance.browser import running_browser, running_site, signed_in_page
from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack
from tests.chaos.stack import Golden, Stack, shared_golden


@pytest.fixture(scope="session")
def golden() -> Golden:
    """A migrated cluster. Each stack gets a copy."""
    return shared_golden()


def forget_connections() -> None:
    """Let the queues connect again at their next use, to the REDIS_URL of that moment."""
    queues.client.cache_clear()
    queues.open_queue.cache_clear()


@pytest.fixture
def stack(golden: Golden, settings: LazySettings) -> Iterator[Stack]:
    """PostgreSQL, Valkey and the recording relay of one test. The queues of this process use this Valkey too."""
    with Stack(golden, environment={"SEND_LEASE_SECONDS": "3"}, fsync=False) as running:
        settings.REDIS_URL = addresses.redis_url(running.folder)
        forget_connections()
        yield running
    forget_connections()


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Client:
    """A program that uses the API of the stack that the module starts."""
    return Client(stack)


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    """The address of a daphne that uses the tests' own database."""
    with running_site() as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser. The tests that have it may use the database too."""
    with pytest.MonkeyPatch.context() as patch, running_browser() as browser:
        # Playwright keeps an event loop in this thread, and Django would refuse its queries as asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield browser


@pytest.fixture
def page(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """A tab in which the administrator of the stack that the module starts is signed in."""
    with signed_in_page(chromium, stack) as page:
        yield page
