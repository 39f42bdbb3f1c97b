"""The admin's pages of one record: counts that are true, links to the pages, and the choice of permissions."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from batches.jobs import creation
from batches.models import EmailTemplate, RejectedRow, RejectionKind
from tests.integration.test_admin import make_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


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
