"""Writing, previewing, choosing and deleting templates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from batches import intake
from batches.models import Batch, EmailJob, EmailTemplate, JobStatus
from batches.template_versions import save_template
from tests.conftest import MakeBatch, MakeJob, MakeUser, join_groups

GOOD = {"name": "Dates", "key": "dates", "subject": "Dates {{ year }}", "html": "", "text": "Dear {{ name }}"}


@pytest.fixture
def editor(sender: User) -> User:
    """Make the sender a template editor too, so that ``page`` may change every template."""
    return join_groups(sender, "Template editors")


def make_template(key: str = "dates", **columns: object) -> EmailTemplate:
    return EmailTemplate.objects.create(**(GOOD | {"key": key} | columns))


def test_templates_are_listed_in_pages_and_searched_when_there_are_many(page: Client, welcome: EmailTemplate) -> None:
    for number in range(60):
        make_template(f"dates-{number:02}", name=f"Dates {number:02}")
    first = page.get(reverse("templates"))
    assert [len(first.context["listed"]), "Next page" in first.content.decode()] == [50, True]
    rest = page.get(reverse("templates") + first.context["page"].next_query)
    names = [item.template.name for answer in (first, rest) for item in answer.context["listed"]]
    assert len(set(names)) == 61 and names[0] == welcome.name
    found = page.get(reverse("templates"), {"q": "dates 07"}).context["listed"]
    assert [item.template.name for item in found] == ["Dates 07"]
    assert "No template is like that." in page.get(reverse("templates"), {"q": "zebra"}).content.decode()


def test_tests_are_not_counted_as_batches_and_keep_their_template(
    page: Client, sender: User, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    template = make_template(owner=sender)
    test = make_batch()
    Batch.objects.filter(pk=test.pk).update(is_test=True)
    for batch in (test, make_batch()):
        make_job(batch, JobStatus.COMPLETED)
    EmailJob.objects.filter(batch=test).update(template=template)
    text = page.get(reverse("templates")).content.decode()
    assert "not sent yet" in text and "because a test was sent with it." in text and "Delete…" not in text
    EmailJob.objects.update(template=template)
    text = page.get(reverse("templates")).content.decode()
    assert "sent in 1 batch" in text and "because batches were sent with it." in text


@pytest.mark.usefixtures("editor")
def test_template_becomes_the_default_when_it_is_the_first(page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    assert EmailTemplate.objects.get(key="dates").is_default


def test_template_does_not_become_the_default_when_there_is_one(page: Client, welcome: EmailTemplate) -> None:
    page.post(reverse("template-new"), GOOD)
    assert not EmailTemplate.objects.get(key="dates").is_default


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": "Dear {{ name"}, "has no end. Write }} after it."),
        ({"text": ""}, "Give the template an HTML body, a text body, or both."),
        ({"key": "welcome_email"}, "Another template has this key"),
        ({"key": "2026"}, "A key of digits alone"),
        ({"key": "two words"}, "Use only letters, digits, hyphens and underscores, and no spaces."),
        ({"subject": ""}, "This field is required."),
    ],
)
def test_fault_is_shown_and_the_input_is_kept(
    change: dict[str, str], sentence: str, page: Client, welcome: EmailTemplate
) -> None:
    answer = page.post(reverse("template-new"), GOOD | {"name": "Typed with care"} | change)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "Typed with care" in answer.content.decode()
    assert not EmailTemplate.objects.filter(name="Typed with care").exists()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("Parents' evening", ["parents-evening", "parents-evening-2", "parents-evening-3"]),
        ("Größe & Søren", ["grosse-soren", "grosse-soren-2", "grosse-soren-3"]),
        ("-- __", ["template", "template-2", "template-3"]),
        ("案内", ["template", "template-2", "template-3"]),
        ("2026", ["template-2026", "template-2026-2", "template-2026-3"]),
        ("x" * 200, ["x" * 90, f"{'x' * 90}-2", f"{'x' * 90}-3"]),
    ],
)
def test_key_is_made_from_the_name_when_it_is_left_empty(name: str, keys: list[str], page: Client) -> None:
    for _ in keys:
        assert page.post(reverse("template-new"), GOOD | {"name": name, "key": ""}).status_code == 302
    assert list(EmailTemplate.objects.order_by("pk").values_list("key", flat=True)) == keys


@pytest.mark.usefixtures("editor")
def test_key_stays_when_it_is_left_empty_in_an_edit(page: Client) -> None:
    make_template()
    page.post(reverse("template", args=["dates"]), GOOD | {"key": "", "name": "Other"})
    assert list(EmailTemplate.objects.values_list("key", "name")) == [("dates", "Other")]


@pytest.mark.usefixtures("editor")
def test_edit_changes_the_template(page: Client) -> None:
    make_template()
    page.post(reverse("template", args=["dates"]), GOOD | {"text": "New words"})
    assert EmailTemplate.objects.get(key="dates").text == "New words"


def test_merge_fields_are_listed(page: Client) -> None:
    make_template()
    text = page.get(reverse("templates")).content.decode()
    assert "<code>name</code>" in text
    assert "<code>year</code>" in text


def test_list_opens_when_a_template_is_faulty(page: Client) -> None:
    make_template(text="{% for %}")
    assert "The text body of the template can&#x27;t be used" in page.get(reverse("templates")).content.decode()


@pytest.mark.usefixtures("editor")
def test_template_is_the_only_default_after_it_was_chosen(page: Client, welcome: EmailTemplate) -> None:
    make_template()
    page.post(reverse("template-default", args=["dates"]))
    assert list(EmailTemplate.objects.filter(is_default=True).values_list("key", flat=True)) == ["dates"]


@pytest.mark.usefixtures("editor")
def test_unused_template_is_deleted(page: Client) -> None:
    make_template()
    page.post(reverse("template-delete", args=["dates"]))
    assert not EmailTemplate.objects.exists()


@pytest.mark.usefixtures("editor")
def test_template_is_kept_when_it_is_the_default(page: Client, welcome: EmailTemplate) -> None:
    text = page.post(reverse("template-delete", args=["welcome_email"]), follow=True).content.decode()
    assert "was not deleted" in text
    assert EmailTemplate.objects.filter(pk=welcome.pk).exists()


@pytest.mark.usefixtures("editor")
def test_template_is_kept_when_emails_were_sent_with_it(
    page: Client, welcome: EmailTemplate, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    make_job(make_batch(sent=1), JobStatus.CANCELLED)
    EmailTemplate.objects.update(is_default=False)
    page.post(reverse("template-delete", args=["welcome_email"]))
    assert EmailTemplate.objects.filter(pk=welcome.pk).exists()


def test_preview_shows_the_unsaved_template_in_a_frame_that_runs_nothing(page: Client) -> None:
    answer = page.post(
        reverse("template-preview"), {"subject": "Hi {{ name }}", "html": "<script>x</script><p>{{ city }}</p>"}
    )
    text = answer.content.decode()
    assert answer.headers["Content-Security-Policy"].startswith(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'"
    )
    assert "Hi Ada Lovelace" in text
    assert "<script>" not in text
    assert 'srcdoc="&lt;script&gt;x&lt;/script&gt;&lt;p&gt;London&lt;/p&gt;"' in text


def test_preview_shows_the_fault_of_the_template(page: Client) -> None:
    assert (
        "The text body of the template can"
        in page.post(reverse("template-preview"), {"subject": "S", "text": "{{ "}).content.decode()
    )


def test_preview_of_a_stored_template_is_shown_by_key(page: Client, welcome: EmailTemplate) -> None:
    assert "Hello Ada Lovelace" in page.get(reverse("template-preview"), {"key": welcome.key}).content.decode()


FOREIGN = GOOD | {"text": "Dear *|FNAME|*"}
FOREIGN_SENTENCE = "The text body has *|FNAME|* in line 1."
NEAR = "The template uses name, but your list “people.csv” has no such column. Near: name_2."


@pytest.fixture
def people(sender: User) -> None:
    """Import a list whose column is called nearly like the template's field."""
    for filename, heading in (("people.csv", "Name 2"), ("other.csv", "Amount")):
        data = f"email,year,{heading}\nann@example.org,2026,Ann\n".encode()
        intake.import_csv(BytesIO(data), filename=filename, user=sender)


def test_template_with_foreign_tags_is_saved_with_a_warning(page: Client) -> None:
    text = page.post(reverse("template-new"), FOREIGN, follow=True).content.decode()
    assert "was saved." in text
    assert FOREIGN_SENTENCE in text
    assert EmailTemplate.objects.get(key="dates").text == "Dear *|FNAME|*"


def test_template_is_compared_with_the_newest_lists_when_it_is_saved(page: Client, people: None) -> None:
    text = page.post(reverse("template-new"), GOOD, follow=True).content.decode()
    assert "was saved." in text
    assert text.count("has no such column") == 1
    assert (
        "Your list"
        not in page.post(reverse("template", args=["dates"]), GOOD | {"text": "x"}, follow=True).content.decode()
    )


def test_no_hint_is_given_when_one_of_the_newest_lists_has_every_field(
    page: Client, people: None, sender: User
) -> None:
    intake.import_csv(BytesIO(b"email,Name,YEAR\nann@example.org,Ann,2026\n"), filename="all.csv", user=sender)
    assert "no such column" not in page.post(reverse("template-notes"), GOOD).content.decode()


def test_notes_name_the_near_column_of_the_list_that_fits_best(page: Client, people: None) -> None:
    assert NEAR in page.post(reverse("template-notes"), GOOD).content.decode()


def test_lists_of_other_users_are_not_named(page: Client, staff: User) -> None:
    intake.import_csv(BytesIO(b"email,Name 2\nann@example.org,Ann\n"), filename="secret.csv", user=staff)
    assert "secret.csv" not in page.post(reverse("template-notes"), GOOD).content.decode()


def test_notes_are_in_the_frame_unless_the_script_shows_them(page: Client) -> None:
    address = reverse("template-preview")
    assert FOREIGN_SENTENCE in page.post(address, FOREIGN).content.decode()
    assert FOREIGN_SENTENCE not in page.post(address, FOREIGN | {"notes_beside": "yes"}).content.decode()


def test_notes_say_the_fault_of_the_template(page: Client) -> None:
    text = page.post(reverse("template-notes"), GOOD | {"text": "{{ "}).content.decode()
    assert '<div class="notice error"><p><b>Line 1:</b> The tag that begins with' in text


def test_stored_template_is_opened_with_its_notes(page: Client) -> None:
    make_template(text="Dear ((name))")
    assert "The text body has ((name)) in line 1." in page.get(reverse("template", args=["dates"])).content.decode()


def test_sample_values_are_found_as_people_write_the_fields(page: Client) -> None:
    text = page.post(reverse("template-preview"), {"subject": "S", "text": "{{ Vorname }} {{ FirstName }}"})
    assert "Ada Ada" in text.content.decode()


@pytest.mark.parametrize(
    "text",
    [
        "{% if Points > 100 %}over{% endif %}",
        "{% if 100 < Points and Points <= 500 %}over{% endif %}",
        "{{ 'over' if Points|int == 120 }}",
        "{% if Points * 2 > 200 %}over{% endif %}",
        "{% for row in rows %}{% if row.Points > 100 %}over{% endif %}{% endfor %}",
    ],
)
def test_preview_takes_a_number_where_the_template_needs_one(text: str, page: Client) -> None:
    shown = page.post(reverse("template-preview"), {"subject": "S", "text": text + " {{ Club }}"}).content.decode()
    assert "over Club" in shown


@pytest.fixture
def other(page: Client, make_user: MakeUser) -> EmailTemplate:
    """A template of another user."""
    template = EmailTemplate(**GOOD)
    save_template(template, by=make_user("ann", "Senders"))
    return template


def test_first_template_of_a_user_who_is_no_editor_is_not_the_default(page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    template = EmailTemplate.objects.get()
    assert (template.is_default, template.owner and template.owner.username) == (False, "sender")


def test_template_of_another_user_is_read_and_copied_but_not_changed(page: Client, other: EmailTemplate) -> None:
    listed = page.get(reverse("templates")).content.decode()
    assert "by ann" in listed
    assert ">Edit</a>" not in listed
    assert "Make default" not in listed
    assert "Delete" not in listed
    shown = page.get(reverse("template", args=["dates"])).content.decode()
    assert "You can use this template, but not change it." in shown
    assert ">Save</button>" not in shown
    for name, data in (("template", GOOD | {"text": "Evil"}), ("template-default", {}), ("template-delete", {})):
        assert page.post(reverse(name, args=["dates"]), data).status_code == 403
    assert page.post(reverse("template-restore", args=["dates", 1])).status_code == 403
    other.refresh_from_db()
    assert (other.text, other.version, other.is_default) == (GOOD["text"], 1, False)

    copy = page.get(reverse("template-new"), {"copy": "dates"}).content.decode()
    assert 'value="Copy of Dates"' in copy
    page.post(f"{reverse('template-new')}?copy=dates", GOOD | {"key": "", "name": "Copy of Dates"})
    mine = EmailTemplate.objects.get(key="copy-of-dates")
    assert mine.owner and mine.owner.username == "sender"


def test_save_is_refused_when_somebody_saved_while_the_form_was_open(page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    address = reverse("template", args=["dates"])
    assert 'name="based_on" value="1"' in page.get(address).content.decode()
    page.post(address, GOOD | {"text": "First", "based_on": "1"})
    answer = page.post(address, GOOD | {"text": "Second", "based_on": "1"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "sender saved version 2 of this template while you were writing" in text
    assert '<a href="/templates/dates/versions/2/?since=1" target="_blank">' in text
    assert ">\nSecond</textarea>" in text
    assert EmailTemplate.objects.get().text == "First"
    # Who has been told may replace it.
    assert 'name="based_on" value="2"' in text
    page.post(address, GOOD | {"text": "Second", "based_on": "2"})
    assert EmailTemplate.objects.get().text == "Second"


@pytest.mark.django_db(transaction=True)
def test_two_new_templates_have_two_keys_or_one_is_refused_when_they_are_saved_at_once(page: Client) -> None:
    def save(number: int) -> int:
        try:
            return page.post(reverse("template-new"), GOOD | {"key": "", "subject": f"S{number}"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(save, range(4)))
    assert set(answers) <= {302, 422}
    assert EmailTemplate.objects.count() == answers.count(302) >= 1


def test_versions_are_listed_compared_and_restored(page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    page.post(reverse("template", args=["dates"]), GOOD | {"text": "Dear {{ name }}\n<b>new</b>"})
    listed = page.get(reverse("template-versions", args=["dates"])).content.decode()
    assert listed.count(">sender</td>") == 2
    changed = page.get(reverse("template-version", args=["dates", 2])).content.decode()
    assert "<span>Dear {{ name }}</span><ins>&lt;b&gt;new&lt;/b&gt;</ins>" in changed
    answer = page.post(reverse("template-restore", args=["dates", 1]), follow=True)
    assert "It was saved as version 3." in answer.content.decode()
    assert EmailTemplate.objects.get().text == GOOD["text"]


@pytest.mark.parametrize("number", ["0", "2", "9" * 30])
def test_version_that_does_not_exist_is_not_found(number: str, page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    assert page.get(f"/templates/dates/versions/{number}/").status_code == 404
    assert page.post(f"/templates/dates/versions/{number}/restore/").status_code == 404
    assert page.get("/templates/none/versions/").status_code == 404


@pytest.mark.parametrize("since", ["", "x", "0", "9" * 30, "\0", "1"])
def test_version_is_compared_with_the_first_when_an_odd_one_is_named(since: str, page: Client) -> None:
    page.post(reverse("template-new"), GOOD)
    page.post(reverse("template", args=["dates"]), GOOD | {"text": "New"})
    assert page.get(reverse("template-version", args=["dates", 2]), {"since": since}).status_code == 200
