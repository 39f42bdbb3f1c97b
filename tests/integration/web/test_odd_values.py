"""Every page with values that nobody means, in its address and in its form: no page fails.

A page behaves as without a query for a parameter that it does not read. So one parameter at a time is tried with each
of those alone that the page reads, as ``NotedQuery`` finds.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from batches import intake
from batches.models import Batch, EmailTemplate
from tests.integration.test_api_odd_values import FEW, LONG, TEXTS
from tests.integration.web.noted_query import EVERY_NAME, NotedQuery

PROJECT_DIR = Path(__file__).resolve().parents[3]
NAMES = sorted(
    {
        name
        for folder in ("batches/web", "batches/admin", "emailbatch/localstack", "templates")
        for path in (PROJECT_DIR / folder).rglob("*.*")
        if path.suffix in (".py", ".html")
        for name in re.findall(
            r"""(?:GET|POST)(?:\.get|\.getlist)?[\[(]"(\w+)"|\bname="(\w+)"|^    (\w+) = forms\.""",
            path.read_text(),
            re.M,
        )
        for name in name
        if name
    }
)
"""The names of every query parameter and form field that the pages read."""

NAMES_READ = sorted(
    {
        name
        for path in (PROJECT_DIR / "batches" / "web").glob("*.py")
        for name in re.findall(
            r"""(?:GET|POST)(?:\.get|\.getlist)?[\[(]"(\w+)"|^    (\w+) = forms\.""", path.read_text(), re.M
        )
        for name in name
        if name
    }
)
"""Those that our own views and forms read."""

EXAMPLES = {"batch_id": "1", "job_id": "1", "key": "welcome_email", "action": "pause", "object_id": "1", "slug": "x"}


def list_addresses(patterns: list[URLPattern | URLResolver], prefix: str = "") -> list[str]:
    """The addresses of all pages but those of django-rq, which only superusers see, with their parameters in them."""
    found = []
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += list_addresses(pattern.url_patterns, route)
        elif (
            not route.startswith(("api/", "admin/django_rq", "admin/jsi18n"))
            and "(" not in route
            and "logout" not in route
        ):
            found.append("/" + re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", route))
    return sorted(found)


ADDRESSES = list_addresses(list(get_resolver().url_patterns))


@pytest.fixture
def draft(staff: User, welcome: EmailTemplate) -> Batch:
    return intake.import_list([{"email": "ann@example.org", "name": "Ann"}], user=staff).batch


@pytest.fixture
def visitor(client: Client, staff: User, settings: LazySettings) -> Client:
    settings.MIDDLEWARE = ["tests.integration.web.noted_query.note_names", *settings.MIDDLEWARE]
    client.force_login(staff)
    client.raise_request_exception = False
    return client


def fill(address: str, draft: Batch) -> str:
    values = EXAMPLES | {"batch_id": str(draft.pk)}
    return re.sub(r"<(\w+)>", lambda found: values.get(found[1], "1"), address)


def ask(visitor: Client, method: str, address: str, data: dict[str, Any] | None = None) -> set[str]:
    """Make a request whose changes are taken back. Returns the names of the query parameters that the page read."""
    with transaction.atomic():
        response = visitor.generic(method, address) if data is None else visitor.post(address, data)
        transaction.set_rollback(True)
    assert response.status_code < 500, (method, address[:300], str(data)[:300])
    query = response.wsgi_request.GET
    assert isinstance(query, NotedQuery)
    return query.names


OWN = [address for address in ADDRESSES if not address.startswith(("/admin/", "/accounts/"))]
"""The pages that are not Django's or allauth's."""


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_does_not_fail_when_every_field_of_it_has_an_odd_value(
    visitor: Client, draft: Batch, address: str
) -> None:
    path = fill(address, draft)
    for text in FEW:
        value = quote(text, errors="surrogatepass")
        ask(visitor, "GET", f"{path}?{'&'.join(f'{name}={value}' for name in NAMES)}")
        ask(visitor, "POST", path, dict.fromkeys(NAMES, text))
    for text in TEXTS:
        for part in re.findall(r"<\w+>", address):
            ask(visitor, "GET", fill(address.replace(part, quote(text, safe="", errors="surrogatepass")), draft))


@pytest.mark.parametrize("address", OWN)
def test_page_does_not_fail_when_one_field_of_it_has_an_odd_value(visitor: Client, draft: Batch, address: str) -> None:
    path = fill(address, draft)
    found, tried = {"unknown", *ask(visitor, "GET", path)}, set[str]()
    while names := found - tried:  # a page may read one name only if it found another
        tried |= names
        for name, text in product(names, ("\0", LONG)):
            found |= ask(visitor, "GET", f"{path}?{name}={quote(text)}")
        if EVERY_NAME in found:
            found.update(NAMES_READ)


def test_names_are_noted_when_a_page_reads_them(visitor: Client) -> None:
    assert {"status", "q", "template", "tests"} <= ask(visitor, "GET", "/batches/")
