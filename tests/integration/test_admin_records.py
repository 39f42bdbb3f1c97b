"""The admin's pages of one record: counts that are true, links to the pages, and the choice of permissions."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from batches.admin import attempts
from batches.jobs import creation, lifecycle
from batches.models import (
    Attempt,
    AuditEntry,
    Batch,
    EmailJob,
    EmailTemplate,
    RejectedRow,
    RejectionKind,
    Relay,
    Webhook,
)
from batches.outcomes import Outcome
from batches.permissions import Permission as Rights
from tests.conftest import MakeUser, permit
from tests.integration.test_admin import make_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("batch/?q=ember", True),
        ("batch/?q=admin", True),
        ("batch/?q=zebra", False),
        ("emailjob/?q=welc", True),
        ("emailjob/?q=admin", True),
        ("emailjob/?q=zebra", False),
    ],
)
def test_batches_and_jobs_are_found_by_a_name_or_a_user(
    admin: Client, staff: User, welcome: EmailTemplate, address: str, found: bool
) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    Batch.objects.filter(pk=job.batch_id).update(name="November")
    page = admin.get(f"/admin/batches/{address.replace('admin', staff.username)}").content.decode()
    assert ("action-checkbox" in page or "/change/" in page) == found


def test_counts_of_a_batch_and_a_job_are_true_when_it_is_being_sent(
    admin: Client, staff: User, welcome: EmailTemplate
) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    job.lanes.filter(number=0).update(sent_count=2, failed_count=1)
    assert "3 in all, 2 sent, 1 failed" in admin.get(f"/admin/batches/batch/{job.batch_id}/change/").content.decode()
    listed = admin.get("/admin/batches/emailjob/").content.decode()
    assert re.findall(r'class="field-(sent|failed)">(\d+)<', listed) == [("sent", "2"), ("failed", "1")]
    one = admin.get(f"/admin/batches/emailjob/{job.pk}/change/").content.decode()
    assert re.search(r"Sent:</label>\s*<div class=\"readonly\">2<", one)


def test_records_link_to_their_pages(admin: Client, staff: User, welcome: EmailTemplate) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    email = job.batch.emails.earliest("row")
    pages = {"batch": job.batch_id, "emailjob": job.pk, "email": email.pk}
    for model, key in pages.items():
        shown = admin.get(f"/admin/batches/{model}/{key}/change/").content.decode()
        target = f"/batches/{job.batch_id}/" + (f"recipients/{email.row}/" if model == "email" else "")
        assert f'<a href="{target}" class="viewsitelink">' in shown


def test_permissions_of_inner_tables_are_not_offered_but_kept_when_a_group_has_them(admin: Client) -> None:
    group = Group.objects.create(name="Old")
    inner = Permission.objects.get(codename="view_lane")
    group.permissions.add(inner)
    own = admin.get(f"/admin/auth/group/{group.pk}/change/").content.decode()
    new = admin.get("/admin/auth/group/add/").content.decode()
    option = f'<option value="{inner.pk}"'
    assert option in own and option not in new
    assert f'<option value="{Permission.objects.get(codename="send_batch").pk}"' in new


def test_live_counts_are_listed_when_a_batch_is_being_sent(admin: Client, staff: User, welcome: EmailTemplate) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    job.lanes.filter(number=0).update(sent_count=2)
    assert "2 of 3" in admin.get("/admin/batches/batch/").content.decode()


def test_rejected_rows_are_shown_in_part_when_there_are_many(admin: Client, staff: User) -> None:
    batch = make_batch(staff, 1)
    RejectedRow.objects.bulk_create(
        RejectedRow(batch=batch, line=line, kind=RejectionKind.INVALID, raw=["<b>"], reason=f"<i>r{line}</i>")
        for line in range(1, 31)
    )
    page = admin.get(f"/admin/batches/batch/{batch.pk}/change/").content.decode()
    assert page.count("&lt;i&gt;r") == 20 and "<i>r" not in page


@pytest.fixture
def tried(staff: User, welcome: EmailTemplate) -> EmailJob:
    """A job with two lanes: rows 1 and 3 failed, 1 at its second attempt, and row 2 was sent."""
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    lanes = list(job.lanes.order_by("number")[:2])
    other = creation.create_job(make_batch(staff), template=welcome, user=staff).lanes.order_by("number")[0]
    for row, number, lane, outcome in (
        (1, 1, lanes[0], Outcome.DEFERRED),
        (1, 2, lanes[-1], Outcome.FAILED),
        (2, 1, lanes[0], Outcome.SENT),
        (3, 1, lanes[0], Outcome.FAILED),
        (3, 1, other, Outcome.FAILED),
    ):
        email = job.batch.emails.get(row=row)
        Attempt.objects.create(
            email=email, lane=lane, number=number, outcome=outcome, code=550, reply=f"<b>row {row}</b>"
        )
    return job


def list_attempts(client: Client, job: EmailJob, **query: int) -> list[tuple[int, int]]:
    page = client.get(reverse("admin:batches_emailjob_attempts", args=[job.pk]), query)
    assert "<b>row" not in page.content.decode()
    return sorted((shown.email.row, shown.attempt.number) for shown in page.context["attempts"])


def test_attempts_of_a_job_are_listed(admin: Client, tried: EmailJob) -> None:
    assert list_attempts(admin, tried) == [(1, 1), (1, 2), (3, 1)]
    assert list_attempts(admin, tried, all=1) == [(1, 1), (1, 2), (2, 1), (3, 1)]
    shown = admin.get(f"/admin/batches/emailjob/{tried.pk}/change/").content.decode()
    assert f'<a href="/admin/batches/emailjob/{tried.pk}/attempts/">those that did not send</a>' in shown


def test_attempts_are_paged_by_their_key(admin: Client, tried: EmailJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ROWS", 1)
    for first in ({}, {"all": "1"}):
        address, seen = "?" + urlencode(first), []
        while address:
            page = admin.get(reverse("admin:batches_emailjob_attempts", args=[tried.pk]) + address)
            seen += [(shown.email.row, shown.attempt.number) for shown in page.context["attempts"]]
            address = page.context["page"].next_query
        assert len(seen) == len(set(seen)) == (4 if first else 3)


def test_attempts_are_hidden_from_those_who_may_not_see_the_batch(
    client: Client, tried: EmailJob, make_user: MakeUser
) -> None:
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=("view_email", "view_emailjob")))
    client.force_login(clerk)
    assert client.get(reverse("admin:batches_emailjob_attempts", args=[tried.pk])).status_code == 404


def test_page_of_a_batch_links_to_the_admin_for_those_who_may_open_it(
    client: Client, admin: Client, tried: EmailJob, make_user: MakeUser
) -> None:
    link = f'href="/admin/batches/batch/{tried.batch_id}/change/"'
    assert link in admin.get(reverse("batch", args=[tried.batch_id])).content.decode()
    viewer = permit(make_user("viewer", is_staff=True), Rights.VIEW_ALL_BATCHES)
    client.force_login(viewer)
    assert link not in client.get(reverse("batch", args=[tried.batch_id])).content.decode()


ACTIONS = {
    "batch": ("pause", "resume", "cancel"),
    "relay": ("disable", "enable", "try_again"),
    "webhook": ("send_test",),
}


@pytest.mark.parametrize(("model", "action"), [(model, action) for model, names in ACTIONS.items() for action in names])
def test_bulk_action_is_in_the_audit(
    admin: Client, staff: User, welcome: EmailTemplate, model: str, action: str
) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    if action == "resume":
        lifecycle.pause_batch(job.batch)
    hook = Webhook.objects.create(name="shop", url="https://shop.example.org/", events=["batch.ended"])
    relay = Relay.objects.get_or_create(name="default")[0]
    keys = {"batch": job.batch_id, "relay": relay.pk, "webhook": hook.pk}
    before = AuditEntry.objects.filter(via="admin").count()
    chosen = {"action": action, "_selected_action": [keys[model]]}
    admin.post(reverse(f"admin:batches_{model}_changelist"), chosen)
    entries = AuditEntry.objects.filter(via="admin").order_by("-pk")
    assert entries.count() == before + 1
    assert (entries[0].actor_id, entries[0].target_id) == (staff.pk, str(keys[model]))
