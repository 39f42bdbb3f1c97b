"""The review page: what it shows, and the buttons that send the batch or a test."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches import intake
from batches.jobs import creation
from batches.models import (
    Batch,
    BatchSource,
    BatchStatus,
    Email,
    EmailJob,
    EmailTemplate,
    SharedAddresses,
    Topic,
    TopicKind,
)
from tests.conftest import MakeBatch
from tests.integration.web.conftest import reviewed

LIST = "Name,E-Mail,Town\nZoë,zoe@example.org,Oslo\n<b>Bo</b>,bo@example.org,\nNed,ned@@example,Leeds\n"


@pytest.fixture
def draft(sender: User) -> Batch:
    """Import a real file: two recipients, one rejected row."""
    return intake.import_csv(BytesIO(LIST.encode()), filename="list.csv", user=sender).batch


@pytest.fixture
def town(db: None) -> EmailTemplate:
    """Make a template that uses two merge fields."""
    return EmailTemplate.objects.create(
        key="town", name="Town", subject="{{ name }} of {{ town }}", html="<h1>{{ name }}</h1>", text="{{ town }}"
    )


def address(batch: Batch, name: str = "review") -> str:
    return reverse(name, args=[batch.pk])


def read(page: Client, batch: Batch, **query: str) -> str:
    return page.get(address(batch), query).content.decode()


def test_message_of_any_row_is_shown(page: Client, draft: Batch, town: EmailTemplate) -> None:
    assert "<b>Zoë of Oslo</b>" in read(page, draft, template="town")
    assert "<b>&lt;b&gt;Bo&lt;/b&gt; of</b>" in read(page, draft, template="town", row="3")


def test_time_is_read_in_the_zone_that_the_page_names(
    page: Client, draft: Batch, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    assert "Time in Asia/Tokyo" in read(page, draft)
    form = {"template": welcome.key, "scheduled_at": "2099-01-01T09:00", **reviewed(page, draft)}
    page.post(address(draft, "review-send"), form)
    assert EmailJob.objects.get().scheduled_at == datetime(2099, 1, 1, 0, 0, tzinfo=UTC)


def test_typed_subject_replaces_the_one_of_the_template(page: Client, draft: Batch, town: EmailTemplate) -> None:
    assert "<b>Dear Zoë</b>" in read(page, draft, template="town", subject="Dear {{ name }}")


def test_html_is_served_with_a_policy_that_runs_nothing(page: Client, draft: Batch, town: EmailTemplate) -> None:
    answer = page.get(address(draft, "review-message"), {"template": "town", "row": "3"})
    assert answer.content.decode().startswith("<h1>&lt;b&gt;Bo&lt;")
    assert answer.headers["Content-Security-Policy"].startswith(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'"
    )


def test_blank_merge_fields_are_counted(page: Client, draft: Batch, town: EmailTemplate) -> None:
    assert "<code>town</code> in 1 row" in read(page, draft, template="town")


def test_nothing_can_be_sent_when_a_merge_field_has_no_column(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="{{ code }}")
    text = read(page, draft, template="code")
    assert '<div class="notice error">' in text
    assert "The letter uses a field for which the list has no column: <code>code</code>." in text
    assert 'id="send" disabled' in text


@pytest.mark.parametrize(
    ("source", "word", "other"),
    [(BatchSource.UPLOAD, "Line", "Row"), (BatchSource.LIST, "Row", "Line"), (BatchSource.USERS, "Row", "Line")],
)
def test_number_of_a_recipient_has_one_name_on_every_page(
    page: Client, draft: Batch, welcome: EmailTemplate, source: BatchSource, word: str, other: str
) -> None:
    Batch.objects.update(source=source)
    text = page.get(address(draft, "review"), {"line": "99"}).content.decode()
    for name, query in (("batch", {}), ("batch", {"status": "rejected"})):
        text += page.get(address(draft, name), query).content.decode()
    assert text.count(f'<th class="figure">{word}</th>') == 3
    assert f"the number of the {word.lower()}.</p>" in text
    assert f"Show the message of {word.lower()} 2" in text
    assert f"{word} 99 has no recipient. This is {word.lower()} 3." in text
    assert f"These {word.lower()}s did not become recipients." in text
    assert f">{other}</th>" not in text


def test_template_is_linked_where_the_review_says_to_change_it(page: Client, draft: Batch, sender: User) -> None:
    def has_link(batch: Batch, subject: str) -> bool:
        return f'<a href="{reverse("template", args=["code"])}">' in read(page, batch, template="code", subject=subject)

    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="Dear {{ name }}")
    assert not has_link(draft, "")
    assert has_link(draft, "{{ code }}")
    assert has_link(draft, "*|NAME|*")
    assert has_link(draft, "{{ name")
    people = BytesIO(b"Name,E-Mail\nAnn,pia@example.org\nBo,pia@example.org\n")
    together = intake.import_csv(people, filename="a.csv", user=sender, shared=SharedAddresses.TOGETHER).batch
    assert has_link(together, "")
    assert not has_link(together, "{% for row in rows %}{{ row.name }}{% endfor %}")


def test_missing_column_is_only_a_warning_when_the_template_has_words_for_it(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="{{ code or 'none' }}")
    text = read(page, draft, template="code")
    assert '<div class="notice warning">' in text
    assert "The letter uses a field for which the list has no column: <code>code</code>." in text
    assert 'id="send" >' in text


def test_counts_are_shown_and_rejected_rows_linked(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    text = read(page, draft)
    assert "1 rejected" in text
    assert "Send to 2 recipients" in text
    assert "Sending will take less than a second." in text


@pytest.mark.parametrize("row", ["", "x", "0", "99", "9" * 30, "-1"])
def test_page_opens_with_any_row_in_the_address(row: str, page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    assert page.get(address(draft), {"row": row, "template": "none-such"}).status_code == 200


def test_page_opens_when_there_is_no_template(page: Client, draft: Batch) -> None:
    assert "There is no template yet." in read(page, draft)


def test_page_opens_when_the_template_is_faulty(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="bad", name="Bad", subject="S", text="{{ name")
    text = read(page, draft, template="bad")
    assert "The text body of the template can&#x27;t be used" in text
    assert "zoe@example.org" in text


def test_page_opens_when_the_list_is_empty(page: Client, make_batch: MakeBatch, welcome: EmailTemplate) -> None:
    text = read(page, make_batch(rejected=1))
    assert "The list has no recipients" in text
    assert 'id="send" disabled' in text


def test_show_leads_to_the_message_and_keeps_tokens_out_of_the_address(
    page: Client, draft: Batch, town: EmailTemplate
) -> None:
    form = {"template": "town", "subject": "Hi", "row": "3", "csrfmiddlewaretoken": "secret"}
    answer = page.post(address(draft, "review-choose"), form)
    assert answer.headers["Location"] == f"{address(draft)}?template=town&subject=Hi&row=3#message"


def test_send_makes_the_job_that_was_shown(page: Client, draft: Batch, town: EmailTemplate, sender: User) -> None:
    chosen = {"template": "town", "subject": "Dear {{ name }}"}
    answer = page.post(address(draft, "review-send"), chosen | reviewed(page, draft, **chosen))
    assert answer.headers["Location"] == address(draft, "batch")
    job = EmailJob.objects.get()
    assert (job.batch, job.template, job.subject, job.created_by) == (draft, town, "Dear {{ name }}", sender)


def test_batch_is_sent_once_when_the_button_is_pressed_twice(
    page: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    form = {"template": welcome.key, **reviewed(page, draft)}
    for _ in range(2):
        answer = page.post(address(draft, "review-send"), form)
        assert answer.headers["Location"] == address(draft, "batch")
    assert EmailJob.objects.count() == 1


def test_batch_waits_for_its_time(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    later = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)
    form = {"template": welcome.key, "scheduled_at": f"{later:%Y-%m-%dT%H:%M}", **reviewed(page, draft)}
    page.post(address(draft, "review-send"), form)
    draft.refresh_from_db()
    assert draft.status == BatchStatus.SCHEDULED
    assert EmailJob.objects.get().scheduled_at == later


def test_time_that_has_passed_is_refused_and_the_form_kept(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    form = {"template": welcome.key, "subject": "Typed with care", "scheduled_at": "2020-01-01T10:00"}
    answer = page.post(address(draft, "review-send"), form)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "That time has passed." in text
    assert 'value="Typed with care"' in text
    assert not EmailJob.objects.exists()


def test_refusal_is_shown_on_the_form(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="{{ code }}")
    answer = page.post(address(draft, "review-send"), {"template": "code", **reviewed(page, draft, template="code")})
    assert answer.status_code == 422
    assert "The list has no column for: code." in answer.content.decode()


def test_test_message_goes_to_one_address_with_the_merge_fields_of_the_row(
    page: Client, draft: Batch, town: EmailTemplate
) -> None:
    form = {"template": "town", "subject": "", "row": "3", "to": "me@example.org"}
    answer = page.post(address(draft, "review-test"), form, follow=True)
    job = EmailJob.objects.get()
    email = Email.objects.get(batch=job.batch)
    context = dict(zip(job.batch.merge_fields, email.fields, strict=True))
    assert (email.address, context) == ("me@example.org", {"name": "<b>Bo</b>", "town": ""})
    assert job.subject == "[Test] {{ name }} of {{ town }}"
    assert (job.batch.name, job.batch.is_test) == ("Test of list.csv", True)
    assert "A test is on its way to me@example.org" in answer.content.decode()
    assert 'value="me@example.org"' in answer.content.decode()  # for the next test
    draft.refresh_from_db()
    assert draft.status == BatchStatus.DRAFT


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("", "This field is required."), ("nonsense", "must have an @-sign"), ("a@localhost", "Nobody receives email at")],
)
def test_test_message_needs_an_address(
    to: str, sentence: str, page: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    answer = page.post(address(draft, "review-test"), {"template": welcome.key, "to": to})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "Correct the list" not in answer.content.decode()
    assert not EmailJob.objects.exists()


def test_refused_test_leaves_no_batch(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="{{ code }}")
    answer = page.post(address(draft, "review-test"), {"template": "code", "to": "me@example.org"})
    assert answer.status_code == 422
    assert list(Batch.objects.all()) == [draft]


def test_test_that_fails_for_another_reason_leaves_no_batch(
    page: Client, draft: Batch, welcome: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError("no process can be started")

    monkeypatch.setattr(creation, "create_job", fail)
    page.raise_request_exception = False
    answer = page.post(address(draft, "review-test"), {"template": welcome.key, "to": "me@example.org"})
    assert answer.status_code == 500
    assert list(Batch.objects.all()) == [draft]


def test_batch_that_was_sent_is_not_reviewed(page: Client, make_batch: MakeBatch, welcome: EmailTemplate) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    assert page.get(address(batch)).headers["Location"] == address(batch, "batch")


@pytest.mark.parametrize("name", ["choose", "test", "send", "fields", "reread", "add", "discard"])
def test_draft_of_another_user_is_not_found(name: str, page: Client, make_batch: MakeBatch, staff: User) -> None:
    batch = make_batch(owner=staff, pending=1)
    assert page.post(address(batch, f"review-{name}")).status_code == 404
    assert Batch.objects.filter(pk=batch.pk, status=BatchStatus.DRAFT).exists()


@pytest.mark.parametrize("name", ["choose", "test", "send", "fields", "reread", "add", "discard"])
def test_link_to_a_form_changes_nothing_and_leads_to_the_review(name: str, page: Client, draft: Batch) -> None:
    answer = page.get(address(draft, f"review-{name}"))
    assert (answer.status_code, answer.headers["Location"]) == (302, address(draft, "review"))
    assert Batch.objects.get().status == BatchStatus.DRAFT


def test_near_column_is_used_by_one_click(page: Client, sender: User) -> None:
    EmailTemplate.objects.create(key="anrede", name="Anrede", subject="S", text="{{ Anrede }}")
    batch = intake.import_csv(BytesIO(b"email,Anrede 2\nann@example.org,Ms\n"), filename="x.csv", user=sender).batch
    text = read(page, batch, template="anrede")
    assert text.count("no column: <code>Anrede</code>") == 1
    assert "undefined" not in text
    assert 'name="field-anrede_2" value="anrede">Use anrede_2</button>' in text
    page.post(address(batch, "review-fields"), {"field-anrede_2": "anrede", "template": "anrede"})
    batch.refresh_from_db()
    assert batch.merge_fields == ["anrede"]
    assert "no such column" not in read(page, batch, template="anrede")


def test_foreign_tags_are_named_before_the_message_is_sent(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="old", name="Old", subject="Dear [name]", text="Hello ((Town))")
    text = read(page, draft, template="old")
    assert "The letter has 2 tags of another program. They go out as they are written" in text
    assert "The subject has [name] in line 1." in text
    assert 'id="send" >' in text


def test_column_is_marked_as_used_when_the_message_writes_its_name_in_another_way(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="big", name="Big", subject="S", text="{{ Town or 'x' }}")
    text = read(page, draft, template="big")
    assert 'aria-label="Field of Town" class="small used"' in text
    assert 'aria-label="Field of Name" class="small "' in text


@pytest.mark.parametrize(("asked", "shown"), [("9999", "3"), ("1", "2")])
def test_page_says_so_when_the_row_has_no_recipient(
    asked: str, shown: str, page: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    answer = page.post(
        address(draft, "review-choose"), {"template": welcome.key, "row": "2", "line": asked}, follow=True
    )
    assert f"Line {asked} has no recipient. This is line {shown}." in answer.content.decode()


def test_line_of_several_recipients_is_shown_from_the_first_and_next_leads_on(
    page: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    draft.emails.filter(row=3).update(line=2)
    draft.emails.filter(row=2).update(line=2)
    Email.objects.create(batch=draft, row=4, line=3, address="cy@example.org", fields=["Cy", "Bern"])
    text = read(page, draft, row="3")
    assert "<dd>bo@example.org</dd>" in text
    assert 'name="line" type="text" maxlength="100" value="2"' in text
    posted = {"template": welcome.key, "row": "3", "line": "2"}
    assert "<dd>bo@example.org</dd>" in page.post(address(draft, "review-choose"), posted, follow=True).content.decode()
    posted["line"] = "3"
    text = page.post(address(draft, "review-choose"), posted, follow=True).content.decode()
    assert "<dd>cy@example.org</dd>" in text
    assert "has no recipient" not in text


def test_topic_is_chosen_and_the_footer_is_shown(
    client: Client, sender: User, draft: Batch, settings: LazySettings
) -> None:
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS = "https://mail.example.org", ["a key"]
    topic = Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS, footer="The school.")
    EmailTemplate.objects.create(key="party", name="Party", subject="Party", text="Come.")
    client.force_login(sender)
    page_address, send_address = address(draft), address(draft, "review-send")
    assert "The school." not in client.get(f"{page_address}?template=party").content.decode()
    page = client.get(f"{page_address}?template=party&topic=events").content.decode()
    assert "The school.\nhttps://mail.example.org/u/preview" in page
    assert "Each mail has a link to unsubscribe." in page
    digest = re.search(r'name="reviewed" value="(\w{96})"', page)
    assert digest is not None
    form = {"template": "party", "topic": "events", "reviewed": digest[1]}
    refused = client.post(send_address, {**form, "topic": ""})
    assert refused.status_code == 409
    assert client.post(send_address, form).status_code == 302
    assert draft.jobs.get().topic == topic


def test_send_button_is_off_when_no_news_can_be_sent(
    client: Client, sender: User, draft: Batch, settings: LazySettings
) -> None:
    settings.UNSUBSCRIBE_KEYS = []
    topic = Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS)
    EmailTemplate.objects.create(key="party", name="Party", subject="Party", text="Come.", topic=topic)
    client.force_login(sender)
    page = client.get(f"{address(draft)}?template=party").content.decode()
    assert "Ask an administrator to set UNSUBSCRIBE_KEYS" in page
    assert re.search(r'id="send" disabled', page)


def test_whole_list_is_searched_for_an_address_when_somebody_asks(
    page: Client, draft: Batch, town: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large draft has no index of addresses, so its page looks through the beginning only."""
    monkeypatch.setattr("batches.web.message.SEARCHED_ROWS", 1)
    last = draft.emails.order_by("-row")[0]
    asked = {"template": "town", "line": last.address}
    first_look = page.get(address(draft), asked).content.decode()
    assert f"Nobody among the first 1 recipients fits “{last.address}”." in first_look
    [link] = re.findall(r'href="(\?[^"]*whole=1)#message">Look through the whole list', first_look)
    found = page.get(address(draft) + html.unescape(link)).content.decode()
    assert f"<dt>To</dt><dd>{last.address}</dd>" in found
    assert "Nobody" not in found
    nobody = page.get(address(draft), {**asked, "line": "nobody@example.org", "whole": "1"}).content.decode()
    assert "Nobody on the list fits “nobody@example.org”." in nobody
    word = page.get(address(draft), {**asked, "line": "nobody"}).content.decode()
    assert "Further down, only a whole address can be found." in word and "whole=1" not in word
