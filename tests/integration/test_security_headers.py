"""The headers of every answer: what a page may load and do, and that nothing is kept in a cache."""

from __future__ import annotations

import re

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse

from batches.models import ApiToken, BatchStatus, EmailTemplate
from tests.conftest import MakeBatch

PAGES = ["/", "/batches/", "/templates/", "/templates/new/", "/inbox/", "/accounts/password/"]
ADMIN = ["/admin/", "/admin/batches/emailtemplate/add/", "/admin/batches/batch/", "/admin/django_rq/dashboard/"]
MACHINE = ["/api/health", "/api/batches", "/api/openapi.json", "/api/docs", "/metrics", "/no/such/page"]


@pytest.fixture
def page(client: Client, staff: User, welcome: EmailTemplate) -> Client:
    client.force_login(staff)
    return client


@pytest.mark.parametrize("address", [*PAGES, *ADMIN, *MACHINE, "/accounts/login/"])
def test_answer_has_every_header_of_security(page: Client, address: str) -> None:
    response = page.get(address, follow=True)
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "object-src 'none'" in policy
    assert "no-store" in response["Cache-Control"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]
    assert not response.has_header("Server")


@pytest.mark.parametrize("address", [*PAGES, *ADMIN[:3], "/api/docs", "/accounts/login/"])
def test_page_has_no_inline_script_or_style(page: Client, address: str) -> None:
    html = page.get(address, follow=True).content.decode()
    scripts = re.findall(r"<script\b[^>]*>", html)
    inline = [tag for tag in scripts if " src=" not in tag and "application/json" not in tag]
    assert inline == []
    assert re.findall(r"<style\b|\sstyle=|\son[a-z]+=\"|javascript:", html) == []


def test_anonymous_refusals_have_the_headers_too(client: Client, db: None) -> None:
    for address in ("/batches/", "/api/batches", "/accounts/login/", "/nowhere/"):
        response = client.get(address)
        assert response["Cache-Control"] == "no-store" or "no-store" in response["Cache-Control"]
        assert response["Content-Security-Policy"]


@pytest.mark.django_db(transaction=True)
async def test_stream_and_downloads_are_kept_in_no_cache(
    async_client: AsyncClient, staff: User, make_batch: MakeBatch
) -> None:
    batch = await sync_to_async(make_batch)(BatchStatus.COMPLETED, sent=1)
    await async_client.aforce_login(staff)
    for name in ("stream", "results.csv", "rejected.csv", "results.xlsx"):
        response = await async_client.get(f"/api/batches/{batch.pk}/{name}")
        assert response["Cache-Control"] == "no-store"
        response.close()


def test_message_loads_no_pictures_of_others_until_a_person_asks(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(pending=1)
    address = reverse("review-message", args=[batch.pk])
    ours = f"img-src {settings.PUBLIC_URL}/pictures/"
    assert f"{ours} data:;" in page.get(address)["Content-Security-Policy"]
    assert f"{ours} https: data:;" in page.get(address, {"pictures": "yes"})["Content-Security-Policy"]
    typed = {"subject": "S", "html": '<img src="https://elsewhere.example/p.png">', "text": ""}
    preview = reverse("template-preview")
    assert f"{ours} data:;" in page.post(preview, typed)["Content-Security-Policy"]
    assert f"{ours} https: data:;" in page.post(preview, {**typed, "pictures": "yes"})["Content-Security-Policy"]


def test_visitor_is_sent_to_sign_in_when_he_asks_for_the_documentation(client: Client, db: None) -> None:
    response = client.get("/api/docs")
    assert response.status_code == 302
    assert response["Location"].endswith("?next=/api/docs")


def test_program_needs_a_token_when_it_asks_for_the_document(client: Client, sender: User) -> None:
    assert client.get("/api/openapi.json").status_code == 401
    assert client.get("/api/openapi.json", headers={"Authorization": "Bearer wrong"}).status_code == 401
    token = ApiToken.objects.issue(sender)
    answer = client.get("/api/openapi.json", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert "/api/upload" in answer.json()["paths"]
