"""The admin's lists, actions and limits."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from io import BytesIO

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.models import CASCADE
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import intake
from batches.admin.deleting import BELONGING
from batches.directory import list_some
from batches.jobs import creation, lifecycle
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    Return,
    ReturnKind,
    RoundTrip,
    Sender,
)
from batches.outcomes import Outcome
from batches.permissions import Permission as Rights
from tests.conftest import MakeUser, permit

CHANGELISTS = ["batch", "email", "emailjob", "emailtemplate"]


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def make_batch(user: User, count: int = 3) -> Batch:
    recipients = [{"email": f"p{number}@example.org", "name": f"P{number}"} for number in range(1, count + 1)]
    return intake.import_list(recipients, user=user).batch


def finish(batch: Batch, status: EmailStatus) -> None:
    Email.objects.filter(batch=batch).update(status=status)
    lifecycle.finish_job(batch.jobs.get().pk)


def act(client: Client, action: str, *batches: Batch, **more: str) -> str:
    data = {"action": action, "_selected_action": [str(batch.pk) for batch in batches], **more}
    return unescape(client.post("/admin/batches/batch/", data, follow=True).content.decode())


@pytest.mark.parametrize("model", CHANGELISTS)
def test_list_is_shown_when_there_are_rows(admin: Client, staff: User, welcome: EmailTemplate, model: str) -> None:
    creation.create_job(make_batch(staff), template=welcome, user=staff)
    response = admin.get(f"/admin/batches/{model}/")
    assert response.status_code == 200
    assert 'class="action-checkbox-column"' in response.content.decode() or model in ("email", "emailjob")


@pytest.mark.parametrize("model", ["batch", "email", "emailjob"])
def test_no_list_counts_or_sorts_a_whole_table_when_it_is_shown(admin: Client, staff: User, model: str) -> None:
    make_batch(staff)
    for query in ("", "?o=1", "?q=p1@example.org", "?status__exact=failed"):
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(f"/admin/batches/{model}/{query}").status_code == 200
        for each in queries.captured_queries:
            if "COUNT(" in each["sql"] and "batches_" in each["sql"]:
                assert "LIMIT 10000" in each["sql"]


@pytest.mark.parametrize("model", ["batch", "email", "emailjob"])
def test_records_are_not_changed_when_a_superuser_posts_a_change(
    admin: Client, staff: User, welcome: EmailTemplate, model: str
) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    pk = {"batch": job.batch_id, "email": job.batch.emails.earliest("row").pk, "emailjob": job.pk}[model]
    assert admin.get(f"/admin/batches/{model}/{pk}/change/").status_code == 200
    assert admin.post(f"/admin/batches/{model}/{pk}/change/", {"status": "sent"}).status_code == 403
    assert admin.get(f"/admin/batches/{model}/add/").status_code == 403
    assert admin.post(f"/admin/batches/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert (Batch.objects.count(), EmailJob.objects.count(), Email.objects.count()) == (1, 1, 3)


@pytest.mark.parametrize(
    ("term", "found"),
    [("p2@example.org", ["p2@"]), ("P2@EXAMPLE.ORG", ["p2@"]), ("p*", ["p1@", "p2@", "p3@"]), ("p2", [])],
)
def test_emails_are_found_when_an_address_or_its_beginning_is_searched(
    admin: Client, staff: User, term: str, found: list[str]
) -> None:
    batch = make_batch(staff)
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.COMPLETED)
    list_some(batch.pk)
    page = admin.get("/admin/batches/email/", {"q": term}).content.decode()
    assert sorted(set(re.findall(r"p\d@(?=example.org</a>)", page))) == found


def test_failed_emails_are_listed_when_the_list_is_that_of_a_batch(admin: Client, staff: User) -> None:
    batch = make_batch(staff)
    batch.emails.filter(row=2).update(status=EmailStatus.FAILED)
    Batch.objects.filter(pk=batch.pk).update(failed_count=1)
    for query, found in (("status=failed", []), (f"status=failed&batch={batch.pk}", ["p2@"])):
        page = admin.get(f"/admin/batches/email/?{query}").content.decode()
        assert re.findall(r"p\d@(?=example.org</a>)", page) == found


def test_emails_of_one_batch_are_listed_when_its_link_is_followed(admin: Client, staff: User) -> None:
    first, second = make_batch(staff, 1), make_batch(staff, 2)
    page = admin.get(f"/admin/batches/batch/{second.pk}/change/").content.decode()
    link = f"/admin/batches/email/?batch={second.pk}"
    assert link in page
    assert "2 emails" in admin.get(link).content.decode()
    assert "1 email" in admin.get(f"/admin/batches/email/?batch={first.pk}").content.decode()


def test_batch_is_steered_when_an_action_is_chosen(admin: Client, staff: User, welcome: EmailTemplate) -> None:
    batch = make_batch(staff)
    assert "can't be paused" in act(admin, "pause", batch)
    creation.create_job(batch, template=welcome, user=staff)
    for action, status in (
        ("pause", BatchStatus.PAUSED),
        ("resume", BatchStatus.PENDING),
        ("cancel", BatchStatus.CANCELLED),
    ):
        assert "1 batch" in act(admin, action, batch)
        batch.refresh_from_db()
        assert batch.status == status


def test_others_are_replayed_when_one_of_many_batches_is_refused(
    admin: Client, staff: User, welcome: EmailTemplate
) -> None:
    ended, draft = make_batch(staff), make_batch(staff)
    creation.create_job(ended, template=welcome, user=staff)
    finish(ended, EmailStatus.FAILED)
    page = act(admin, "replay_failed", ended, draft)
    assert "1 batch queued again" in page and f"Batch {draft.pk} was never sent" in page
    assert EmailJob.objects.filter(kind=JobKind.FAILED, batch=ended).count() == 1


def test_replay_of_all_is_confirmed_first_when_it_is_chosen(admin: Client, staff: User, welcome: EmailTemplate) -> None:
    batch = make_batch(staff)
    creation.create_job(batch, template=welcome, user=staff)
    finish(batch, EmailStatus.SENT)
    assert "Send to everybody again?" in act(admin, "replay_all", batch)
    assert EmailJob.objects.count() == 1
    act(admin, "replay_all", batch, confirmed="yes")
    assert EmailJob.objects.filter(kind=JobKind.ALL).count() == 1


def test_actions_are_not_offered_when_staff_may_only_view(client: Client, db: None) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client.force_login(viewer)
    batch = make_batch(viewer)
    assert 'value="pause"' not in client.get("/admin/batches/batch/").content.decode()
    act(client, "replay_all", batch, confirmed="yes")
    assert not EmailJob.objects.exists()


def test_actions_reach_only_batches_that_the_user_may_steer(
    client: Client, sender: User, welcome: EmailTemplate, make_user: MakeUser
) -> None:
    clerk = make_user("clerk", "Senders", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_batch"))
    permit(clerk, Rights.VIEW_ALL_BATCHES)
    own, of_another = make_batch(clerk), make_batch(sender)
    for batch in (own, of_another):
        creation.create_job(batch, template=welcome, user=batch.created_by)
    client.force_login(clerk)
    page = act(client, "pause", own, of_another)
    assert "1 batch paused." in page and "You may not steer the batches of others." in page
    assert set(EmailJob.objects.values_list("batch", "status")) == {
        (own.pk, JobStatus.PAUSED),
        (of_another.pk, JobStatus.QUEUED),
    }
    permit(clerk, Rights.STEER_ALL_BATCHES)
    assert "1 batch cancelled." in act(client, "cancel", of_another)


def test_all_rows_of_a_batch_are_deleted_when_a_superuser_deletes_it(
    admin: Client, staff: User, welcome: EmailTemplate
) -> None:
    batch, kept = make_batch(staff), make_batch(staff)
    job = creation.create_job(batch, template=welcome, user=staff)
    assert admin.post(f"/admin/batches/batch/{batch.pk}/delete/", {"post": "yes"}).status_code == 403
    lane = job.lanes.get(number=0)
    Email.objects.filter(batch=batch).update(lane=lane)
    Attempt.objects.create(email=batch.emails.earliest("row"), lane=lane, number=1, outcome=Outcome.SENT)
    finish(batch, EmailStatus.SENT)
    page = admin.get(f"/admin/batches/batch/{batch.pk}/delete/").content.decode()
    assert "3 emails" in page
    assert admin.post(f"/admin/batches/batch/{batch.pk}/delete/", {"post": "yes"}).status_code == 302
    assert Batch.objects.get() == kept and Email.objects.count() == 3 and not EmailJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_batch_is_deleted_with_what_came_back_and_its_round_trip(admin: Client, staff: User) -> None:
    batch = make_batch(staff)
    email = batch.emails.earliest("row")
    Return.objects.create(batch=batch, email=email, kind=ReturnKind.BOUNCED, door="lmtp", event_key="one")
    sender = Sender.objects.create(key="office", address="office@example.org")
    RoundTrip.objects.create(sender=sender, batch=batch, token="abc")

    assert admin.post(f"/admin/batches/batch/{batch.pk}/delete/", {"post": "yes"}).status_code == 302

    assert not Batch.objects.exists() and not Return.objects.exists() and not RoundTrip.objects.exists()


def test_every_table_with_rows_of_a_batch_is_known_to_the_deletion() -> None:
    """A foreign key that PostgreSQL checks would refuse the deletion, at the end of its transaction."""
    known = {model for model, _ in BELONGING}
    pointing = {
        relation.related_model
        for model in known
        for relation in model._meta.related_objects
        if getattr(relation.field, "db_constraint", True) and relation.on_delete is CASCADE
    }
    assert pointing - known == set()


def test_live_batches_are_kept_when_many_are_deleted(admin: Client, staff: User, welcome: EmailTemplate) -> None:
    live, ended = make_batch(staff), make_batch(staff)
    creation.create_job(live, template=welcome, user=staff)
    page = act(admin, "delete_selected", live, ended, post="yes")
    assert "Live batches were not deleted" in page
    assert Batch.objects.get() == live


def test_file_of_a_draft_is_deleted_when_the_draft_is(admin: Client, staff: User) -> None:
    draft = intake.import_csv(BytesIO(b"email\na@example.org\n"), filename="list.csv", user=staff).batch
    assert draft.upload_chunks.exists()
    act(admin, "delete_selected", draft, post="yes")
    assert not Batch.objects.exists()


def test_cancelled_batch_is_kept_when_its_last_mail_is_still_in_flight(
    admin: Client, staff: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(staff)
    job = creation.create_job(batch, template=welcome, user=staff)
    last = Email.objects.filter(batch=batch).order_by("row").last()
    assert last is not None
    EmailJob.objects.filter(pk=job.pk).update(handed_out_to_row=last.row)
    job.lanes.update(
        lease_until=timezone.now() + timedelta(minutes=1),
        claimed_rows=[last.row],
        range_after_row=last.row,
        range_end_row=last.row,
    )
    lifecycle.cancel_batch(batch)
    act(admin, "delete_selected", batch, post="yes")
    assert Batch.objects.get() == batch
    assert Email.objects.get(pk=last.pk).status == EmailStatus.PENDING


def test_template_is_refused_when_it_does_not_compile(admin: Client) -> None:
    parts = {"key": "bad", "name": "Bad", "subject": "{{ name", "html": "", "text": "T"}
    assert "can&#x27;t be used" in admin.post("/admin/batches/emailtemplate/add/", parts).content.decode()
    assert (
        "an HTML body, a text body"
        in admin.post("/admin/batches/emailtemplate/add/", parts | {"subject": "S", "text": ""}).content.decode()
    )
    assert not EmailTemplate.objects.exists()
    assert admin.post("/admin/batches/emailtemplate/add/", parts | {"subject": "S"}).status_code == 302


def test_template_is_saved_with_the_hints_of_the_pages(admin: Client, staff: User) -> None:
    people = BytesIO(b"email,Vorname\nann@example.org,Ann\n")
    intake.import_csv(people, filename="people.csv", user=staff)
    parts = {"key": "t", "name": "T", "subject": "S", "html": "", "text": "Dear *|FNAME|* {{ Vornam }}"}
    page = admin.post("/admin/batches/emailtemplate/add/", parts, follow=True).content.decode()
    assert EmailTemplate.objects.filter(key="t").exists()
    assert "The template uses Vornam, but your list “people.csv” has no such column. Near: vorname." in page
    assert "*|FNAME|* in line 1. It would be sent unchanged. To show the column vorname, write {{ vorname }}." in page


def test_one_template_is_default_when_another_is_chosen(admin: Client, welcome: EmailTemplate) -> None:
    other = EmailTemplate.objects.create(key="other", name="Other", subject="S", text="T")
    data = {"action": "make_default", "_selected_action": [other.pk]}
    admin.post("/admin/batches/emailtemplate/", data, follow=True)
    assert list(EmailTemplate.objects.filter(is_default=True)) == [other]


def send_to_users(client: Client, **data: object) -> str:
    """The action's page, then its form filled in as a browser would post it."""
    data = {"action": "send_email", **data}
    page = client.post("/admin/auth/user/", data).content.decode()
    fields = {name: unescape(value) for name, value in re.findall(r'name="(count|key)" value="([^"]*)"', page)}
    response = client.post("/admin/auth/user/", {**data, **fields, "template": "plain", "subject": "Hi"}, follow=True)
    return unescape(response.content.decode())


@pytest.fixture
def members(db: None) -> list[User]:
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="Dear {{ first_name }}")
    return [User.objects.create_user(f"m{number}", f"m{number}@example.org") for number in range(1, 6)]


def test_only_the_selected_users_are_sent_to_when_the_action_is_confirmed(admin: Client, members: list[User]) -> None:
    User.objects.filter(username="m2").update(email="")
    User.objects.filter(username="m3").update(is_active=False)
    send_to_users(admin, _selected_action=[user.pk for user in members[:4]])
    job = EmailJob.objects.get()
    assert sorted(job.batch.emails.values_list("address", flat=True)) == ["m1@example.org", "m4@example.org"]
    assert (job.subject, job.template_key) == ("Hi", "plain")


def test_message_is_reviewed_first_when_the_other_button_is_pressed(admin: Client, members: list[User]) -> None:
    text = send_to_users(admin, _selected_action=[user.pk for user in members[:2]], review="1")
    assert "Dear " in text and "<dd>m1@example.org</dd>" in text and 'name="subject" value="Hi"' in text
    assert Batch.objects.get().status == BatchStatus.DRAFT and not EmailJob.objects.exists()


def test_users_of_all_pages_are_selected_when_select_all_is_clicked(
    admin: Client, members: list[User], staff: User
) -> None:
    send_to_users(admin, _selected_action=[members[0].pk], select_across="1", index="0")
    assert EmailJob.objects.get().total_count == 6


def test_nothing_is_sent_when_the_users_changed_before_the_confirmation(admin: Client, members: list[User]) -> None:
    data = {"action": "send_email", "_selected_action": [members[0].pk], "select_across": "1", "index": "0"}
    key = "2f1b1f0e-7d7c-4b8e-9a52-0a4f3c2b1a00"
    response = admin.post("/admin/auth/user/", {**data, "count": "5", "key": key, "template": "plain"})
    assert "The selection now has 6 users" in response.content.decode()
    assert not Batch.objects.exists()


def test_one_batch_is_sent_when_the_button_is_clicked_twice(admin: Client, members: list[User]) -> None:
    data = {"action": "send_email", "_selected_action": [members[0].pk], "count": "1", "template": "plain"}
    for _ in range(2):
        admin.post("/admin/auth/user/", {**data, "key": "2f1b1f0e-7d7c-4b8e-9a52-0a4f3c2b1a00"})
    assert Batch.objects.count() == EmailJob.objects.count() == 1


def test_sending_to_users_needs_the_permissions_to_send_and_to_send_to_groups(
    client: Client, members: list[User], make_user: MakeUser
) -> None:
    viewer = make_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(viewer)
    for missing in (Rights.SEND_TO_GROUP, Rights.SEND_BATCH):
        assert "send_email" not in client.get("/admin/auth/user/").content.decode()
        send_to_users(client, _selected_action=[members[0].pk])
        assert not Batch.objects.exists()
        permit(viewer, missing)
    send_to_users(client, _selected_action=[members[0].pk])
    assert Batch.objects.get().created_by == viewer


def test_staff_give_nobody_permissions_and_change_no_superuser(
    client: Client, staff: User, members: list[User], make_user: MakeUser
) -> None:
    keeper = make_user("keeper", is_staff=True)
    keeper.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client.force_login(keeper)
    group = Group.objects.create(name="Board")
    mighty = {"is_superuser": "on", "is_staff": "on", "groups": [group.pk], "user_permissions": [1], "is_active": "on"}
    times = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    for user in (keeper, members[0]):
        answer = client.post(f"/admin/auth/user/{user.pk}/change/", {"username": user.username, **times, **mighty})
        assert answer.status_code == 302
        user = User.objects.get(pk=user.pk)
        assert not user.is_superuser and not user.groups.exists()
    assert not User.objects.get(pk=members[0].pk).is_staff
    passwords = {"password1": "a long one 42", "password2": "a long one 42", "usable_password": "true"}
    for path in (f"user/{staff.pk}/change/", f"user/{staff.pk}/password/", f"user/{staff.pk}/delete/"):
        assert client.post(f"/admin/auth/{path}", {"username": "x", "post": "yes", **passwords}).status_code == 403
    for path in (f"group/{group.pk}/change/", "group/add/", f"group/{group.pk}/delete/"):
        assert client.post(f"/admin/auth/{path}", {"name": "x", "post": "yes"}).status_code == 403
    client.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [staff.pk], "post": "yes"})
    assert User.objects.filter(pk=staff.pk).exists()
    assert client.post(f"/admin/auth/user/{members[0].pk}/password/", passwords).status_code == 302


@pytest.mark.parametrize("path", ["", "queues/0/", "queues/0/empty/", "stats.json", "workers/0/"])
def test_queues_are_closed_when_staff_is_no_superuser(client: Client, admin: Client, path: str) -> None:
    url = f"/admin/django_rq/dashboard/{path}"
    assert admin.get(url).status_code == 200
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.logout()
    assert client.get(url).status_code == 302
    client.force_login(clerk)
    assert client.get(url).status_code == 403
    assert "django_rq" not in client.get("/admin/").content.decode()
