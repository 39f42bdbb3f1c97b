"""Whom a job's mails come from: what a user named, or the best that the user may use. Nobody sends as another."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ValidationError

from batches.jobs import creation, lifecycle
from batches.jobs.senders import SenderRefused, choose_sender, keep_default_sender, list_senders
from batches.models import BatchStatus, EmailJob, EmailTemplate, JobKind, JobStatus, Sender
from tests.conftest import MakeBatch, MakeSender, MakeUser


@pytest.fixture
def other(make_user: MakeUser) -> User:
    return make_user("other", "Senders")


def test_default_sender_follows_the_setting_until_somebody_edits_it(db: None, settings: LazySettings) -> None:
    settings.DEFAULT_FROM_EMAIL = '"Northtown, School" <news@bücher.example>'
    chosen = choose_sender(None, template=None, user=None)
    assert (chosen.key, chosen.display_name, chosen.address) == (
        "default",
        "Northtown, School",
        "news@xn--bcher-kva.example",
    )
    Sender.objects.update(display_name="Edited", is_from_settings=False)
    settings.DEFAULT_FROM_EMAIL = "else@example.org"
    assert choose_sender(None, template=None, user=None).display_name == "Edited"


def test_default_sender_is_made_again_when_it_is_missing(db: None, settings: LazySettings) -> None:
    Sender.objects.all().delete()
    settings.DEFAULT_FROM_EMAIL = "News <news@example.org>"
    keep_default_sender()
    assert str(Sender.objects.get()) == "News <news@example.org>"


def test_process_without_the_setting_uses_the_address_that_another_process_has(
    welcome: EmailTemplate, make_batch: MakeBatch, settings: LazySettings
) -> None:
    settings.DEFAULT_FROM_EMAIL = "News <news@example.org>"
    keep_default_sender()
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    job = creation.create_job(make_batch(BatchStatus.DRAFT, pending=1), template=welcome, user=None)
    assert job.from_email == "News <news@example.org>"
    assert str(list_senders(None)[0]) == "News <news@example.org>"
    settings.DEFAULT_FROM_EMAIL = "else@example.org"
    assert str(choose_sender(None, template=None, user=None)) == "else@example.org"


FAR = "smtp+tls://u:p@mail.example.org:587"


@pytest.mark.parametrize("from_email", ["webmaster@localhost", "News <news@localhost.localdomain>", "a@x.localhost"])
def test_job_from_an_address_on_this_machine_is_refused_when_a_relay_carries_it_elsewhere(
    welcome: EmailTemplate, make_batch: MakeBatch, settings: LazySettings, from_email: str
) -> None:
    settings.EMAIL_URL, settings.DEFAULT_FROM_EMAIL = FAR, from_email
    batch = make_batch(BatchStatus.DRAFT, pending=1)
    with pytest.raises(SenderRefused, match=r"exists on this machine only.* Set DEFAULT_FROM_EMAIL"):
        creation.create_job(batch, template=welcome, user=None)
    assert not EmailJob.objects.exists()
    settings.DEFAULT_FROM_EMAIL = "news@example.org"
    assert creation.create_job(batch, template=welcome, user=None).from_email == "news@example.org"


@pytest.mark.parametrize(
    "url",
    ["smtp+unix:///run/inbox", "smtp://127.0.0.1:25", "smtp://[::1]:25", "smtp://localhost:25", "smtp://mailpit:1025"],
)
def test_job_from_an_address_on_this_machine_is_made_when_the_relay_is_there_too(
    welcome: EmailTemplate, make_batch: MakeBatch, settings: LazySettings, url: str
) -> None:
    settings.EMAIL_URL = url
    job = creation.create_job(make_batch(BatchStatus.DRAFT, pending=1), template=welcome, user=None)
    assert job.from_email == "webmaster@localhost"


def test_replay_takes_the_corrected_address_when_the_job_before_had_one_on_this_machine(
    welcome: EmailTemplate, make_batch: MakeBatch, settings: LazySettings
) -> None:
    batch = make_batch(BatchStatus.DRAFT, pending=1)
    creation.create_job(batch, template=welcome, user=None)
    lifecycle.cancel_batch(batch)
    settings.EMAIL_URL = FAR
    with pytest.raises(SenderRefused, match="exists on this machine only"):
        creation.replay_batch(batch, which=JobKind.UNSENT, user=None)
    settings.DEFAULT_FROM_EMAIL = "news@example.org"
    assert creation.replay_batch(batch, which=JobKind.UNSENT, user=None).from_email == "news@example.org"


def test_other_sender_works_when_the_setting_is_faulty(
    make_sender: MakeSender, sender: User, settings: LazySettings
) -> None:
    make_sender("office")
    settings.DEFAULT_FROM_EMAIL = "a@example.org, b@example.org"
    assert choose_sender("office", template=None, user=sender).key == "office"
    with pytest.raises(SenderRefused, match=r"has two addresses. .* Set DEFAULT_FROM_EMAIL to an address"):
        choose_sender(None, template=None, user=sender)


def test_templates_sender_is_chosen_when_the_user_may_use_it(
    make_sender: MakeSender, sender: User, other: User, welcome: EmailTemplate
) -> None:
    welcome.sender = make_sender("office", users=(sender,))
    welcome.save()
    assert choose_sender("", template=welcome, user=sender).key == "office"
    assert choose_sender(None, template=welcome, user=other).key == "default"
    assert choose_sender(None, template=welcome, user=None).key == "office"


def test_first_usable_sender_is_chosen_when_the_default_one_is_not_the_users(
    make_sender: MakeSender, sender: User, other: User
) -> None:
    keep_default_sender()
    Sender.objects.get().users.add(other)
    with pytest.raises(SenderRefused, match="no sender that you may send from") as refusal:
        choose_sender(None, template=None, user=sender)
    assert refusal.value.http_status == 403
    make_sender("zoo")
    make_sender("choir", groups=(Group.objects.create(name="choir"),))
    make_sender("office")
    assert choose_sender(None, template=None, user=sender).key == "office"
    assert [each.key for each in list_senders(other)] == ["default", "office", "zoo"]


@pytest.mark.parametrize("named", ["choir", "choir@bücher.example", " CHOIR@xn--bcher-kva.example "])
def test_sender_is_found_by_key_or_address(make_sender: MakeSender, sender: User, named: str) -> None:
    make_sender("choir", "The Choir", "choir@bücher.example")
    assert choose_sender(named, template=None, user=sender).key == "choir"


def test_sender_is_refused_when_the_user_may_not_use_it(make_sender: MakeSender, sender: User, other: User) -> None:
    group = Group.objects.create(name="choir")
    make_sender("choir", groups=(group,))
    make_sender("head", users=(other,))
    for user in (sender, AnonymousUser()):
        for named in ("choir", "head", "head@example.org"):
            with pytest.raises(SenderRefused, match=f"You may not send from '{named}'") as refusal:
                choose_sender(named, template=None, user=user)
            assert refusal.value.http_status == 403
    sender.groups.add(group)
    assert choose_sender("choir", template=None, user=sender).key == "choir"
    assert choose_sender("head", template=None, user=None).key == "head"


def test_sender_stays_limited_when_the_last_of_its_users_is_deleted(
    make_sender: MakeSender, sender: User, other: User
) -> None:
    head = make_sender("head", users=(other,))
    Sender.objects.filter(pk=head.pk).update(is_limited=True)  # as the admin does
    other.delete()
    with pytest.raises(SenderRefused, match="You may not send from 'head'"):
        choose_sender("head", template=None, user=sender)


def test_superuser_is_no_exception(make_sender: MakeSender, staff: User, other: User) -> None:
    make_sender("head", users=(other,))
    with pytest.raises(SenderRefused):
        choose_sender("head", template=None, user=staff)


def test_sender_is_refused_when_there_is_none_of_that_name(make_sender: MakeSender, sender: User) -> None:
    make_sender("choir")
    with pytest.raises(
        SenderRefused, match=r"There is no sender 'quire'. You may send from: default, choir"
    ) as refusal:
        choose_sender("quire", template=None, user=sender)
    assert refusal.value.http_status == 422


def test_address_is_refused_when_several_senders_have_it(make_sender: MakeSender, sender: User, other: User) -> None:
    make_sender("choir", "The Choir", "news@example.org")
    make_sender("school", "The School", "news@example.org")
    with pytest.raises(SenderRefused, match="Name one by its key: choir, school"):
        choose_sender("news@example.org", template=None, user=sender)
    Sender.objects.get(key="school").users.add(other)
    assert choose_sender("news@example.org", template=None, user=sender).key == "choir"


def test_sender_is_refused_when_its_row_is_faulty(db: None, sender: User) -> None:
    Sender.objects.create(key="bad", display_name="x\r\nBcc: y@example.org", address="bad@example.org")
    with pytest.raises(SenderRefused, match=r"control character .* Correct it in the admin"):
        choose_sender("bad", template=None, user=sender)


def test_job_keeps_its_sender_when_the_sender_is_edited(
    make_sender: MakeSender, make_batch: MakeBatch, sender: User, welcome: EmailTemplate
) -> None:
    office = make_sender("office", "Office, Northtown", reply_to="Desk <desk@example.org>")
    batch = make_batch(pending=1)
    job = creation.create_job(batch, template=welcome, user=sender, sender="office")
    office.display_name = "Edited"
    office.save()
    job.refresh_from_db()
    assert (job.sender, job.from_email, job.reply_to) == (
        office,
        '"Office, Northtown" <office@example.org>',
        "Desk <desk@example.org>",
    )


def test_nothing_is_made_when_the_sender_is_refused(
    make_sender: MakeSender, make_batch: MakeBatch, sender: User, other: User, welcome: EmailTemplate
) -> None:
    make_sender("head", users=(other,))
    batch = make_batch(pending=1)
    with pytest.raises(SenderRefused):
        creation.create_job(batch, template=welcome, user=sender, sender="head")
    assert not EmailJob.objects.exists()
    batch.refresh_from_db()
    assert batch.status == BatchStatus.DRAFT


def test_replay_has_the_sender_of_the_last_job_as_it_was(
    make_sender: MakeSender, make_batch: MakeBatch, sender: User, other: User, welcome: EmailTemplate
) -> None:
    office = make_sender("office", "Office")
    make_sender("choir", "Choir", reply_to="answers@example.org")
    batch = make_batch(failed=1)
    EmailJob.objects.create(
        **{"batch": batch, "template": welcome, "template_key": welcome.key, "subject": "x", "text": "y"},
        **{"sender": office, "from_email": "Old name <office@example.org>", "reply_to": "old@example.org"},
        **{"status": JobStatus.FAILED, "completed_at": batch.created_at},
    )
    office.users.add(other)
    with pytest.raises(SenderRefused, match=r"was sent from Old name <office@example.org>, and you may not") as refusal:
        creation.replay_batch(batch, which=JobKind.FAILED, user=sender)
    assert refusal.value.http_status == 403
    assert batch.emails.get().status == "failed"
    office.users.clear()
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=sender)
    assert (job.sender, job.from_email, job.reply_to) == (office, "Old name <office@example.org>", "old@example.org")
    EmailJob.objects.update(status=JobStatus.FAILED, completed_at=batch.created_at)
    batch.emails.update(status="failed")
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=sender, sender="choir@example.org")
    assert (job.from_email, job.reply_to) == ("Choir <choir@example.org>", "answers@example.org")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("display_name", "a\nb", "control character"),
        ("display_name", "a\u2028b", "control character"),
        ("display_name", "a\x00b", "control character"),
        ("address", "nobody", "no @-sign"),
        ("address", "a@example.org, b@example.org", "two addresses"),
        ("address", "grüße@example.org", "The letter ü is before the @-sign"),
        ("address", "a@localhost", "Nobody can answer to a@localhost"),
        ("address", "a@intranet", "Nobody can answer to a@intranet"),
        ("address", "a@x.invalid", "Nobody can answer"),
        ("address", f"{'a' * 65}@example.org", "too long before the @-sign"),
        ("reply_to", "a@example.org; b@example.org", "two addresses"),
        ("reply_to", "Desk <desk>", "no @-sign"),
    ],
)
def test_sender_is_refused_at_save_when_no_mail_can_come_from_it(
    field: str, value: str, sentence: str, settings: LazySettings, db: None
) -> None:
    settings.IS_LOCAL_INBOX = False
    faulty = Sender(**{"key": "x", "display_name": "X", "address": "x@example.org"} | {field: value})
    with pytest.raises(ValidationError) as refusal:
        faulty.full_clean()
    assert sentence in refusal.value.message_dict[field][0]


def test_sender_on_this_machine_is_accepted_when_the_inbox_gets_the_mail(settings: LazySettings, db: None) -> None:
    settings.IS_LOCAL_INBOX = True
    accepted = Sender(key="x", display_name="  Two   words ", address="webmaster@localhost", reply_to="  ")
    accepted.full_clean()
    assert (accepted.display_name, accepted.address, accepted.reply_to) == ("Two words", "webmaster@localhost", "")
