"""Every field of every route of the API with values that nobody means: each answer is one that the API describes.

The routes and their fields come from the API's own description, so that a new field is tried without a line here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batches import intake
from batches.api import api
from batches.models import Batch, EmailJob, EmailTemplate

LONG = "9" * 5000
TEXTS = (
    *("\0", "a\0b", LONG, f"-{LONG}", f"1.{LONG}", "1e999999", "NaN", "Infinity", "-0", "٣", "²", "0x10", "1_000"),
    *("9999-12-31T23:59:59-23:59", "9999-12-31T23:59+23:59", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00Z"),
    *(
        "2030-01-01T24:00:00Z",
        "2030-02-30T00:00Z",
        "2030-01-01T00:00:60Z",
        "2030-01-01",
        "-1",
        "P1D",
        "10000-01-01T00:00Z",
    ),
    *(
        "2030-01-01T00:00:00+99:99",
        "2030-01-01T00:00:00.9999999999Z",
        "2030-01-01T00:00:00Z" * 50,
        "∞",
        "\ud7ff\uffff",
        "💥",
    ),
    *(
        "{{ x }}",
        "{% for",
        "%s %d {0} {name}",
        "\u202e\u200b\ufeff",
        "a\r\nBcc: b@x.org",
        "'; DROP TABLE x; --",
        "../../etc/passwd",
        "",
    ),
)
FEW = ("\0", LONG, "9999-12-31T23:59:59-23:59", "\ud7ff\uffff", "")
"""The texts that have failed somewhere."""

RAW = (
    *(
        LONG,
        f"-{LONG}",
        "18446744073709551616",
        "-9223372036854775809",
        "2147483648",
        "-2147483649",
        "32768",
        "1e400",
        "1e308",
    ),
    *(
        "0.1e-9999",
        '"\\ud800"',
        '"\\udc00x"',
        '"\\u0000"',
        '{"\\u0000": "\\u0000"}',
        '["\\u0000"]',
        "[" * 2000 + "]" * 2000,
    ),
    *(
        '{"a":' * 900 + "1" + "}" * 900,
        "[[1]]",
        "[{}]",
        '[{"email": {"a": 1}}]',
        '[{"email": [1]}]',
        "[null]",
        "[true]",
        '[""]',
    ),
    *(
        "null",
        "true",
        "[]",
        "{}",
        '{"": ""}',
        '{"a": null}',
        '{"a": 1}',
        "[1,1]",
        '"\\"',
        "NaN",
        "Infinity",
        "-0",
        "0.0",
    ),
)
"""Values of JSON as they are written: some can't be made of Python's values."""

OPERATIONS = [
    (method, path, operation)
    for path, methods in sorted(api.get_openapi_schema()["paths"].items())
    for method, operation in sorted(methods.items())
    if not path.endswith(("/stream", ".csv", ".xlsx"))  # they run in an event loop: test_download_... below
]
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]

json_texts = (
    st.sampled_from(RAW)
    | st.sampled_from(TEXTS).map(json.dumps)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
        max_leaves=5,
    ).map(json.dumps)
)
texts = st.sampled_from(TEXTS) | st.text(max_size=30)


@pytest.fixture
def draft(sender: User, welcome: EmailTemplate) -> Batch:
    return intake.import_list([{"email": "ann@example.org", "name": "Ann"}], user=sender).batch


@pytest.fixture
def caller(client: Client, sender: User) -> Client:
    client.force_login(sender)
    client.raise_request_exception = False
    return client


def resolve_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow the references of a schema to the one with properties."""
    if "$ref" in schema:
        return resolve_schema(api.get_openapi_schema()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for part in (*schema.get("anyOf", []), *schema.get("allOf", [])):
        if (found := resolve_schema(part)).get("properties"):
            return found
    return schema


def fields_of(operation: dict[str, Any], content_type: str) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get(content_type)
    return sorted(resolve_schema(content["schema"]).get("properties", {})) if content else []


def check(response: Any, *, where: object) -> None:
    assert response.status_code < 500, (where, response.content[:500])
    if response.status_code >= 400:
        detail = response.json()["detail"]
        assert detail.endswith((".", "?", "…")) and len(response.content) < 8000, (where, response.content[:500])
        assert "Traceback" not in detail


def ask(caller: Client, method: str, path: str, **more: Any) -> Any:
    """Make a request whose changes are taken back, so that the next example finds the same draft."""
    with transaction.atomic():
        response = caller.generic(method.upper(), path, **more)
        transaction.set_rollback(True)
    return response


def fill_path(path: str, draft: Batch) -> str:
    values = {"batch_id": str(draft.pk), "job_id": "1", "person_id": "1", "key": "welcome_email"}
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_json_with_an_odd_value_is_refused_with_a_sentence(
    caller: Client, draft: Batch, method: str, path: str, operation: dict[str, Any]
) -> None:
    fields = fields_of(operation, "application/json")
    if not fields:
        return
    required = {"which": "failed", "names": {}, "recipients": ["ann@example.org"]}
    base = {name: json.dumps(value) for name, value in required.items() if name in fields}

    @EXAMPLES
    @given(name=st.sampled_from(fields), value=json_texts)
    def try_value(name: str, value: str) -> None:
        members = {**base, name: value}
        body = "{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}"
        response = ask(caller, method, fill_path(path, draft), data=body.encode(), content_type="application/json")
        check(response, where=(name, value[:100]))

    try_value()
    for name in fields:  # all of the sampled ones, whatever hypothesis chooses
        for value in RAW:
            members = {**base, name: value}
            body = "{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}"
            response = ask(caller, method, fill_path(path, draft), data=body.encode(), content_type="application/json")
            check(response, where=(name, value[:100]))
    assert Batch.objects.count() == 1 and not EmailJob.objects.exists()


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_address_with_an_odd_value_is_refused_with_a_sentence(
    caller: Client, draft: Batch, method: str, path: str, operation: dict[str, Any]
) -> None:
    in_query = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
    in_path = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
    # A post renders a message in a child process, if nothing is refused before.
    for text in TEXTS if method == "get" else FEW:
        for name in [*in_query, "unknown"] if text in FEW else in_query:
            address = f"{fill_path(path, draft)}?{name}={quote(text, errors='surrogatepass')}"
            check(ask(caller, method, address, **body_of(operation)), where=(name, text[:100]))
        for name in in_path:
            address = path.replace(f"{{{name}}}", quote(text, safe="", errors="surrogatepass"))
            check(ask(caller, method, fill_path(address, draft), **body_of(operation)), where=(name, text[:100]))


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    has_json = bool(fields_of(operation, "application/json"))
    return {"data": b"{}", "content_type": "application/json"} if has_json else {}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_form_with_an_odd_value_is_refused_with_a_sentence(
    caller: Client, draft: Batch, method: str, path: str, operation: dict[str, Any]
) -> None:
    for name, form in forms_with(fields_of(operation, "multipart/form-data")):
        with transaction.atomic():
            response = caller.post(fill_path(path, draft), form)
            transaction.set_rollback(True)
        check(response, where=(name, str(form)[:300]))


def forms_with(fields: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make a form for each field and each text, and one for each text as the name of the file."""
    for text in TEXTS if fields else ():
        for name in fields:
            file = SimpleUploadedFile("a.csv", b"email,name\nann@example.org,Ann\n")
            yield name, {"draft": "true", "file": file, name: text} if name != "file" else {"file": text}
        named = SimpleUploadedFile(f"a{text[:300]}.csv", b"email\nann@example.org\n")
        yield "its name", {"file": named, "draft": "true"}


@pytest.mark.parametrize("text", TEXTS)
def test_header_with_an_odd_value_is_refused_with_a_sentence(caller: Client, draft: Batch, text: str) -> None:
    body = {"recipients": ["ann@example.org"]}
    odd: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": text, "HTTP_AUTHORIZATION": f"Bearer {text}"}
    for name in odd:
        response = caller.post(
            "/api/emails/send-bulk", json.dumps(body), content_type="application/json", **{name: odd[name]}
        )
        check(response, where=name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "path",
    [
        f"/api/batches/{{}}/{name}"
        for name in ("results.csv", "rejected.csv", "results.xlsx", "rejected.xlsx", "stream")
    ],
)
def test_download_with_an_odd_number_is_refused_with_a_sentence(caller: Client, draft: Batch, path: str) -> None:
    for text in TEXTS:
        check(caller.get(path.format(quote(text, safe="", errors="surrogatepass"))), where=text[:100])
    assert caller.get(path.format("9" * 4000)).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_download_of_the_audit_with_an_odd_value_is_refused_with_a_sentence(client: Client, staff: User) -> None:
    client.force_login(staff)
    client.raise_request_exception = False
    for text in TEXTS:
        for name in ("who", "action", "batch", "since", "until", "refused", "unknown"):
            response = client.get(f"/api/audit.csv?{name}={quote(text, errors='surrogatepass')}")
            if response.status_code != 200:
                check(response, where=(name, text[:100]))
