"""The lines of the access log."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from twisted.web.http_headers import Headers

from emailbatch.access_log import AccessLog
from emailbatch.request_bodies.daphne_request import current_request


def write(path: str, request: Any = None, **details: Any) -> str:
    """Return the line of a request."""
    stream = io.StringIO()
    token = current_request.set(request)
    try:
        AccessLog(stream)(
            "http",
            "complete",
            {"method": "GET", "path": path, "status": 200, "size": 12, "client": "10.0.0.1:5", **details},
        )
    finally:
        current_request.reset(token)
    return stream.getvalue()


def make_request(*forwarded: str, user_id: int | None = None) -> Any:
    headers = Headers({b"x-forwarded-for": [value.encode() for value in forwarded]})
    return SimpleNamespace(requestHeaders=headers, client_addr=["10.0.0.1", 5], user_id=user_id)


def test_line_has_client_user_path_and_status() -> None:
    line = write("/batches/3/", make_request(user_id=7))
    assert re.fullmatch(r'10\.0\.0\.1 - 7 \[\d\d/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] "GET /batches/3/" 200 12\n', line)


@pytest.mark.parametrize("path", ["/inbox/?recipient=ann", "/admin/batches/email/?q=ann%40example.org#x", "/?ann"])
def test_query_is_left_out(path: str) -> None:
    assert "ann" not in write(path)


@pytest.mark.parametrize("path", ["/ann@example.org/", "/x/ann%40example.org", "/" + "A" * 43])
def test_path_has_no_address_or_token(path: str) -> None:
    line = write(path)
    assert "ann" not in line and "AAAA" not in line


def test_address_before_the_proxies_is_named_when_they_are_trusted(settings: LazySettings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    assert write("/", make_request("198.51.100.9, 192.0.2.4")).startswith("192.0.2.4 ")
    settings.TRUSTED_PROXY_COUNT = 0
    assert write("/", make_request("192.0.2.4")).startswith("10.0.0.1 ")


def test_a_line_stays_one_line_whatever_the_path() -> None:
    assert write('/"x\r\nGET /').count("\n") == 1


def test_websocket_has_a_line_for_each_of_its_states() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for action in ("connecting", "connected", "disconnected", "rejected"):
        log("websocket", action, {"path": "/ws/batches/3/", "client": "10.0.0.1:5"})
    assert [line.split('"')[1] for line in stream.getvalue().splitlines()] == [
        f"{word} /ws/batches/3/" for word in ("WSCONNECTING", "WSCONNECT", "WSDISCONNECT", "WSREJECT")
    ]
