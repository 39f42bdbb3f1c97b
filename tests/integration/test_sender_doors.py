"""Each door takes a sender, refuses another's with a sentence, and shows from whom the mails come."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from batches.jobs import lifecycle
from batches.models import Batch, BatchStatus, EmailJob, EmailStatus, EmailTemplate, Relay, Sender
from tests.conftest import MakeBatch, MakeSender
from tests.integration.web.conftest import reviewed

FILE = b"name,email\nAda,ada@example.org\n"
CHOIR = {"key": "choir", "from": '"Choir, Northtown" <choir@example.org>', "replyTo": "Desk <desk@example.org>"}


@pytest.fixture
def choir(make_sender: MakeSender) -> Sender:
    """A sender of everybody's."""
    return make_sender("choir", "Choir, Northtown", reply_to="Desk <desk@example.org>")


@pytest.fixture
def head(make_sender: MakeSender, staff: User) -> Sender:
    """A sender that only another user may use."""
    return make_sender("head", "The Head", users=(staff,))


@pytest.fixture
def page(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def post(client: Client, address: str, **body: object) -> Any:
    return client.post(address, json.dumps(body), content_type="application/json")


def upload(client: Client, **fields: str) -> Any:
    return client.post("/api/upload", {"file": SimpleUploadedFile("list.csv", FILE), **fields})


def send_bulk(client: Client, **fields: str) -> Any:
    return post(client, "/api/emails/send-bulk", recipients=[{"email": "ada@example.org", "name": "Ada"}], **fields)


def show(client: Client, address: str) -> str:
    return unescape(client.get(address).content.decode())


def test_api_sends_from_the_sender_named_and_says_so(page: Client, choir: Sender) -> None:
    for answer in (upload(page, sender="choir"), send_bulk(page, sender="choir@example.org")):
        assert answer.status_code == 202, answer.json()
        job = EmailJob.objects.get(pk=answer.json()["jobId"])
        assert (job.sender, job.from_email, job.reply_to) == (choir, CHOIR["from"], CHOIR["replyTo"])
        assert page.get(f"/api/batches/{job.batch_id}").json()["sender"] == CHOIR
        assert page.get(f"/api/jobs/{job.pk}").json()["sender"] == CHOIR
    choir.display_name = "Edited"
    choir.save()
    assert [item["sender"] for item in page.get("/api/batches").json()["items"]] == [CHOIR, CHOIR]


def test_api_refuses_a_sender_before_it_imports_anything(page: Client, choir: Sender, head: Sender) -> None:
    for named, status in (("head", 403), ("head@example.org", 403), ("nobody", 422)):
        for answer in (
            upload(page, sender=named),
            upload(page, sender=named, draft="true"),
            send_bulk(page, sender=named),
        ):
            assert answer.status_code == status
            assert "You may send from: default, choir" in answer.json()["detail"]
    assert not Batch.objects.exists()


def test_api_refuses_a_sender_of_a_draft(page: Client, choir: Sender, head: Sender) -> None:
    batch_id = upload(page, draft="true").json()["batchId"]
    address = f"/api/batches/{batch_id}"
    assert post(page, f"{address}/send", sender="head").status_code == 403
    assert page.get(f"{address}/review?sender=head").status_code == 403
    assert post(page, f"{address}/reread?sender=head", encoding="utf-8").status_code == 403
    assert post(page, f"{address}/fields?sender=head", names={"name": "first"}).status_code == 403
    assert page.get(f"{address}/review?sender=choir").json()["sender"] == CHOIR
    assert post(page, f"{address}/reread?sender=choir", encoding="utf-8").json()["sender"] == CHOIR
    assert post(page, f"{address}/send", sender="choir").status_code == 202
    assert EmailJob.objects.get().sender == choir


@pytest.mark.parametrize("named", ["\0", "choir\0", "\u202e", "' OR 1=1", "CHOIR", "x" * 320, "choir@example.org."])
def test_no_door_fails_when_a_sender_has_a_name_that_none_can_have(
    page: Client, choir: Sender, make_batch: MakeBatch, named: str
) -> None:
    batch = make_batch(pending=1)
    answers = [
        upload(page, sender=named),
        send_bulk(page, sender=named),
        post(page, f"/api/batches/{batch.pk}/send", templateId="welcome_email", sender=named),
        page.get(f"/api/batches/{batch.pk}/review", {"sender": named}),
        page.post(f"/batches/{batch.pk}/review/send/", {"template": "welcome_email", "sender": named}),
    ]
    assert {answer.status_code for answer in answers} == {422}
    assert "There is no sender" in show(page, f"/batches/{batch.pk}/review/?{urlencode({'sender': named})}")
    assert not EmailJob.objects.exists()


def test_draft_shows_the_present_sender(page: Client, choir: Sender, welcome: EmailTemplate) -> None:
    batch_id = upload(page, draft="true").json()["batchId"]
    assert page.get(f"/api/batches/{batch_id}").json()["sender"]["key"] == "default"
    EmailTemplate.objects.update(sender=choir)
    assert page.get(f"/api/batches/{batch_id}").json()["sender"] == CHOIR
    assert page.get("/api/templates").json()["items"][0]["sender"] == "choir"
    assert page.get(f"/api/batches/{batch_id}/review").json()["sender"] == CHOIR
    Sender.objects.update(is_limited=True)
    assert page.get(f"/api/batches/{batch_id}").json()["sender"] is None
    assert page.get(f"/api/batches/{batch_id}/review").json()["sender"] is None
    assert post(page, f"/api/batches/{batch_id}/send").status_code == 403


def test_senders_of_the_caller_are_listed(page: Client, choir: Sender, head: Sender) -> None:
    answer = page.get("/api/senders").json()
    assert answer["next"] is None
    assert [(item["key"], item["isDefault"]) for item in answer["items"]] == [("default", True), ("choir", False)]
    assert answer["items"][1] == {
        "key": "choir",
        "name": "Choir, Northtown",
        "address": "choir@example.org",
        "replyTo": "Desk <desk@example.org>",
        "isDefault": False,
    }


@pytest.mark.parametrize("named", [None, "choir"])
def test_replay_is_refused_when_the_sender_is_not_the_users(
    page: Client, sender: User, choir: Sender, staff: User, named: str | None
) -> None:
    batch_id = upload(page, sender="choir").json()["batchId"]
    batch = Batch.objects.get(pk=batch_id)
    batch.emails.update(status=EmailStatus.FAILED)
    lifecycle.finish_job(EmailJob.objects.get().pk)
    choir.users.add(staff)
    body = {"which": "failed"} | ({"sender": named} if named else {})
    answer = post(page, f"/api/batches/{batch_id}/replay", **body)
    assert answer.status_code == 403
    assert "may not send from" in answer.json()["detail"]
    assert "you may not send from that" in unescape(
        page.post(f"/batches/{batch_id}/replay-failed/", follow=True).content.decode()
    )
    assert EmailJob.objects.count() == 1
    assert post(page, f"/api/batches/{batch_id}/replay", which="failed", sender="default").status_code == 202
    assert EmailJob.objects.latest("pk").from_email == "webmaster@localhost"


def test_pages_offer_the_senders_of_the_user_and_send_from_the_chosen_one(
    page: Client, sender: User, choir: Sender, head: Sender
) -> None:
    home = show(page, "/")
    assert '<option value="choir">Choir, Northtown <choir@example.org></option>' in home
    assert "The Head" not in home
    key = re.search(r'name="key" value="([^"]+)"', home)
    assert key
    form = {"template": "welcome_email", "then": "review", "key": key[1], "sender": "choir"}
    answer = page.post("/", {**form, "file": SimpleUploadedFile("list.csv", FILE)})
    assert "sender=choir" in answer["Location"]
    review = show(page, answer["Location"])
    assert "<dt>From</dt><dd><bdi>Choir, Northtown</bdi> <choir@example.org></dd>" in review
    assert "<dt>Reply to</dt><dd><bdi>Desk</bdi> <desk@example.org></dd>" in review
    batch = Batch.objects.get()
    sent = {"template": "welcome_email", "subject": "", "row": "2", "sender": "choir"}
    page.post(f"/batches/{batch.pk}/review/test/", {**sent, "to": "me@example.org"})
    page.post(f"/batches/{batch.pk}/review/send/", sent | reviewed(page, batch, sender="choir"))
    assert [job.sender for job in EmailJob.objects.all()] == [choir, choir]
    shown = show(page, f"/batches/{batch.pk}/")
    assert '<dd id="sender"><bdi>Choir, Northtown</bdi> <choir@example.org></dd>' in shown
    assert "<dt>Reply to</dt><dd><bdi>Desk</bdi> <desk@example.org></dd>" in shown


def test_review_refuses_another_users_sender(page: Client, make_batch: MakeBatch, choir: Sender, head: Sender) -> None:
    batch = make_batch(pending=1)
    shown = show(page, f"/batches/{batch.pk}/review/?sender=head")
    assert "You may not send from 'head'." in shown
    assert re.search(r'id="send" disabled', shown)
    answer = page.post(f"/batches/{batch.pk}/review/send/", {"template": "welcome_email", "sender": "head"})
    assert (answer.status_code, EmailJob.objects.count()) == (422, 0)
    assert "You may not send from 'head'." in unescape(answer.content.decode())
    test = {"template": "welcome_email", "sender": "head", "to": "me@example.org"}
    assert page.post(f"/batches/{batch.pk}/review/test/", test).status_code == 422
    assert not EmailJob.objects.exists()


def test_no_choice_is_shown_when_there_is_one_sender(page: Client, make_batch: MakeBatch, head: Sender) -> None:
    batch = make_batch(pending=1)
    assert 'id="id_sender"' not in show(page, "/")
    review = show(page, f"/batches/{batch.pk}/review/")
    assert 'id="id_sender"' not in review
    assert "<dt>From</dt><dd>webmaster@localhost</dd>" in review


def test_template_names_a_sender_of_the_user(
    page: Client, choir: Sender, head: Sender, welcome: EmailTemplate, sender: User
) -> None:
    EmailTemplate.objects.update(owner=sender)
    address = f"/templates/{welcome.key}/edit/"
    assert "The Head" not in show(page, address)
    parts = {"name": "W", "key": welcome.key, "subject": "S", "text": "T"}
    assert page.post(address, parts | {"sender": head.pk}).status_code == 422
    assert page.post(address, parts | {"sender": choir.pk}).status_code == 302
    welcome.refresh_from_db()
    assert welcome.sender == choir
    assert "from <bdi>Choir, Northtown</bdi>" in show(page, "/templates/")
    EmailTemplate.objects.update(sender=head)
    assert page.post(address, parts | {"sender": head.pk}).status_code == 302  # the present one is kept


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


ADDED = {"key": "office", "display_name": "Office", "address": "office@bücher.example", "reply_to": ""}


def test_admin_saves_a_sender_in_its_stored_form(admin: Client, staff: User) -> None:
    page = admin.post("/admin/batches/sender/add/", ADDED | {"users": staff.pk}, follow=True).content.decode()
    office = Sender.objects.get(key="office")
    assert (office.address, office.is_limited) == ("office@xn--bcher-kva.example", True)
    assert "was added successfully" in page
    changed = show(admin, f"/admin/batches/sender/{office.pk}/change/")
    assert "From: Office <office@xn--bcher-kva.example>" in changed
    admin.post(f"/admin/batches/sender/{office.pk}/change/", ADDED)
    office.refresh_from_db()
    assert not office.is_limited
    listed = show(admin, "/admin/batches/sender/")
    assert "everybody" in listed and "DEFAULT_FROM_EMAIL" in listed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"address": "a@example.org, b@example.org"}, "has two addresses"),
        ({"address": "nobody"}, "no @-sign"),
        ({"display_name": "a\nBcc: b"}, "control character"),
        ({"reply_to": "grüße@example.org"}, "The letter ü is before the @-sign"),
    ],
)
def test_admin_refuses_a_sender_from_which_no_mail_can_come(
    admin: Client, change: dict[str, str], sentence: str
) -> None:
    answer = admin.post("/admin/batches/sender/add/", ADDED | change)
    assert sentence in unescape(answer.content.decode())
    assert not Sender.objects.filter(key="office").exists()


def test_list_of_senders_has_room_for_all_columns_when_a_name_is_long(admin: Client, make_sender: MakeSender) -> None:
    make_sender("cjk", "名" * 60, reply_to="desk@example.org")
    shown = show(admin, "/admin/batches/sender/")
    assert f"""<td class="field-shown">{"名" * 30}… <cjk@example.org></td>""" in shown


def test_default_sender_stops_following_the_setting_when_its_name_is_edited(admin: Client) -> None:
    show(admin, "/admin/batches/sender/")
    default = Sender.objects.get()
    address = f"/admin/batches/sender/{default.pk}/change/"
    admin.post(address, {"display_name": "", "address": "webmaster@localhost", "reply_to": "desk@example.org"})
    default.refresh_from_db()
    assert default.is_from_settings and default.reply_to == "desk@example.org"
    admin.post(address, {"display_name": "News", "address": "news@example.org"})
    default.refresh_from_db()
    assert not default.is_from_settings and str(default) == "News <news@example.org>"
    data = {"action": "follow_setting", "_selected_action": [default.pk]}
    page = admin.post("/admin/batches/sender/", data, follow=True).content.decode()
    assert "The default sender is now webmaster@localhost." in page


def test_used_and_default_senders_are_kept(admin: Client, staff: User, choir: Sender, make_sender: MakeSender) -> None:
    unused = make_sender("unused")
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T", is_default=True)
    send_bulk(admin, sender="choir")
    default = Sender.objects.get(key="default")
    for kept in (choir, default):
        assert admin.post(f"/admin/batches/sender/{kept.pk}/delete/", {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "post": "yes", "_selected_action": [choir.pk, unused.pk]}
    assert admin.post("/admin/batches/sender/", data).status_code == 403
    assert Sender.objects.count() == 3
    relay = Relay.objects.get_or_create(name="default")[0]
    relay.senders.add(unused)
    assert admin.post(f"/admin/batches/sender/{unused.pk}/delete/", {"post": "yes"}).status_code == 403
    relay.senders.clear()
    assert admin.post("/admin/batches/sender/", data | {"_selected_action": [unused.pk]}).status_code == 302
    assert [sender.key for sender in Sender.objects.all()] == ["choir", "default"]


def test_admin_action_sends_from_the_chosen_sender(
    admin: Client, sender: User, staff: User, choir: Sender, make_sender: MakeSender
) -> None:
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T", is_default=True)
    make_sender("theirs", users=(sender,))
    data: dict[str, object] = {"action": "send_email", "_selected_action": [staff.pk]}
    shown = unescape(admin.post("/admin/auth/user/", data).content.decode())
    assert "Choir, Northtown <choir@example.org>" in shown and "theirs@" not in shown
    fields = dict(re.findall(r'name="(count|key)" value="([^"]*)"', shown))
    form = {**data, **fields, "template": "plain"}
    refused = admin.post("/admin/auth/user/", form | {"sender": "theirs"}, follow=True)
    assert "You may not send from 'theirs'" in unescape(refused.content.decode())
    assert not Batch.objects.exists()
    admin.post("/admin/auth/user/", form | {"sender": "choir"})
    assert EmailJob.objects.get().sender == choir
    assert "Choir, Northtown <choir@example.org>" in show(admin, "/admin/batches/emailjob/")


def test_commands_take_a_sender(
    tmp_path: Path, sender: User, choir: Sender, head: Sender, welcome: EmailTemplate
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(FILE)
    send = ("sendbatch", str(path), "--template", "welcome_email")
    with pytest.raises(CommandError, match="You may not send from 'head'"):
        call_command(*send, "--sender", "head", "--user", "sender")
    assert not Batch.objects.exists()
    call_command(*send, "--sender", "head")  # the operator may use every sender
    job = EmailJob.objects.get()
    assert job.sender == head
    job.batch.emails.update(status=EmailStatus.FAILED)
    lifecycle.finish_job(job.pk)
    with pytest.raises(CommandError, match="There is no sender 'nobody'"):
        call_command("replaybatch", str(job.batch_id), "--sender", "nobody")
    call_command("replaybatch", str(job.batch_id), "--sender", "choir@example.org")
    assert EmailJob.objects.latest("pk").from_email == CHOIR["from"]
    assert Batch.objects.get().status == BatchStatus.PENDING
