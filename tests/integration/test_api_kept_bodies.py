"""What a refused body leaves in memory until Python collects cycles, many requests later: nothing large."""

from __future__ import annotations

import gc

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.models import ApiToken, EmailTemplate

pytestmark = pytest.mark.django_db

COUNT = 60_000
BODIES = {
    "unknown fields": b"{" + b",".join(b'"%07d":1' % number for number in range(COUNT)) + b"}",
    "one wrong in many": b'{"recipients":[' + b'"ann@example.org",' * COUNT + b"7]}",
    "many merge fields": b'{"recipients":[{' + b",".join(b'"%07d":1' % number for number in range(COUNT)) + b"}]}",
    "a list at the root": b"[" + b"1," * COUNT + b"1]",
}


def find_large() -> set[int]:
    return {id(each) for each in gc.get_objects() if isinstance(each, dict | list) and len(each) >= COUNT}


@pytest.mark.parametrize("kind", list(BODIES))
def test_refused_body_is_let_go_at_once(sender: User, welcome: EmailTemplate, kind: str) -> None:
    client, bearer = Client(), f"Bearer {ApiToken.objects.issue(sender)}"
    gc.collect()
    gc.disable()
    try:
        before = find_large()
        answered = client.post(
            "/api/emails/send-bulk", BODIES[kind], content_type="application/json", headers={"Authorization": bearer}
        )
        assert answered.status_code == 422
        del answered
        assert find_large() <= before
    finally:
        gc.enable()
