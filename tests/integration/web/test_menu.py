"""The menu shows what its user may open, and nothing else: batches/web/menu.py."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from batches.models import Approval
from batches.permissions import GROUPS
from tests.conftest import MakeBatch

ENTRY = re.compile(r'<a [^>]*href="([^"]+)"([^>]*)>')


def read_menu(page: str) -> dict[str, str]:
    """Return the addresses of a page's menu, with the rest of each link."""
    menu = re.search(r'<nav class="menu".*?</nav>', page, re.DOTALL)
    return dict(ENTRY.findall(menu[0])) if menu else {}


@pytest.mark.django_db
@pytest.mark.parametrize("group", [*GROUPS, None])
@pytest.mark.parametrize("is_staff", [True, False])
def test_every_entry_opens_when_a_user_has_one_group(client: Client, group: str | None, is_staff: bool) -> None:
    user = User.objects.create_user("maria", is_staff=is_staff)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    menu = read_menu(client.get("/templates/").content.decode())
    assert "/batches/" in menu
    for address in menu:
        assert client.get(address).status_code == 200, address


@pytest.mark.django_db
def test_every_entry_opens_when_the_user_is_a_superuser(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    menu = read_menu(client.get("/").content.decode())
    assert {"/audit/", "/admin/", "/do-not-send/", "/person/", "/approvals/"} <= menu.keys()
    assert all(client.get(address).status_code == 200 for address in menu)


@pytest.mark.django_db
def test_the_open_page_is_marked_when_the_menu_is_drawn(page: Client) -> None:
    menu = read_menu(page.get("/templates/new/").content.decode())
    assert [address for address, rest in menu.items() if "aria-current" in rest] == ["/templates/"]


@pytest.mark.django_db
def test_what_waits_is_counted_when_the_user_may_approve(client: Client, make_batch: MakeBatch) -> None:
    approver = User.objects.create_user("ann")
    approver.user_permissions.add(Permission.objects.get(codename="approve_batch"))
    client.force_login(approver)
    assert "waiting-count" not in client.get("/templates/").content.decode()
    Approval.objects.create(batch=make_batch(), asked_by=approver, asked_at=timezone.now())
    assert "(1 waits)" in client.get("/templates/").content.decode()


@pytest.mark.django_db
def test_menu_is_empty_when_a_second_factor_is_missing(page: Client, settings: object) -> None:
    settings.REQUIRE_MFA = "all"  # type: ignore[attr-defined]
    answer = page.get("/accounts/two-factor/")
    assert answer.status_code == 200
    assert read_menu(answer.content.decode()) == {}
    assert "Sign out" in answer.content.decode()


@pytest.mark.django_db
def test_menu_is_missing_when_nobody_is_signed_in(client: Client) -> None:
    assert read_menu(client.get("/accounts/login/").content.decode()) == {}
