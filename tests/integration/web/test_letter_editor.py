"""The editor of a template without a script: buttons that change what is typed, the preview, tests, and the frame."""

from __future__ import annotations

import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches import intake
from batches.letter_frames import find_frame, save_frame
from batches.models import Batch, EmailJob, EmailTemplate, LetterFrame, Picture, TemplateKind
from batches.pictures import PICTURES_A_DAY
from batches.template_sources import compose
from batches.template_versions import save_template
from tests.conftest import join_groups
from tests.integration.jobs.test_approval_races import is_waiting_for_a_lock

LETTER = {"name": "Party", "key": "", "subject": "Party", "kind": "markdown", "source": "Dear **{{ vorname }}**"}


def make_png(width: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 2, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def parents(sender: User) -> Batch:
    data = b"Vorname,E-Mail\nEva,eva@example.org\nBo,bo@example.org\n"
    return intake.import_csv(BytesIO(data), filename="parents.csv", user=sender).batch


@pytest.fixture
def editor(sender: User) -> User:
    return join_groups(sender, "Template editors")


def typed(answer: str, name: str) -> str:
    """Return what a text box of a page has in it."""
    return answer.partition(f'<textarea name="{name}"')[2].partition(">")[2].partition("</textarea>")[0].strip()


def test_letter_is_stored_with_its_html_and_text(page: Client) -> None:
    answer = page.post(reverse("template-new"), LETTER | {"then": "stay"})
    assert answer.headers["Location"] == "/templates/party/edit/"
    stored = EmailTemplate.objects.get()
    assert (stored.kind, stored.source) == (TemplateKind.MARKDOWN, LETTER["source"])
    assert "<strong>{{ vorname }}</strong>" in stored.html
    assert stored.text == "Dear {{ vorname }}\n"
    assert stored.merge_fields == ["vorname"]
    assert stored.versions.get().source == LETTER["source"]


def test_letter_is_refused_with_its_line_beside_it(page: Client) -> None:
    answer = page.post(reverse("template-new"), LETTER | {"source": "Dear\n\n**{% if a %}x** y{% endif %}"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "<b>Line 3:</b> {% if a %} is in another paragraph, or other bold words, than {% endif %}." in text
    assert not EmailTemplate.objects.exists()


def test_letter_stays_a_letter_when_a_form_without_a_kind_changes_it(page: Client) -> None:
    page.post(reverse("template-new"), LETTER)
    page.post(reverse("template", args=["party"]), {"name": "Party", "subject": "S", "source": "New"})
    assert list(EmailTemplate.objects.values_list("kind", "source", "text")) == [("markdown", "New", "New\n")]


def test_fix_changes_what_is_typed_and_saves_nothing(page: Client, parents: Batch) -> None:
    form = LETTER | {"source": "Dear *|FNAME|*,", "list": str(parents.pk)}
    noted = page.post(reverse("template-notes"), form).content.decode()
    assert "Write {{ vorname }}" in noted
    fix = json.dumps(["source", 1, "*|FNAME|*", "{{ vorname }}"])
    answer = page.post(reverse("template-new"), form | {"fix": fix})
    assert answer.status_code == 200
    assert typed(answer.content.decode(), "source") == "Dear {{ vorname }},"
    assert not EmailTemplate.objects.exists()


@pytest.mark.parametrize("fix", ["", "x", "[]", '["evil", 1, "a", "b"]', '["source", "x", "a", "b"]', "1e999"])
def test_form_is_drawn_again_when_a_fix_is_odd(fix: str, page: Client) -> None:
    assert page.post(reverse("template-new"), LETTER | {"fix": fix}).status_code == 200


def test_preview_shows_the_first_recipient_of_the_chosen_list(page: Client, parents: Batch) -> None:
    answer = page.post(reverse("template-preview"), LETTER | {"list": str(parents.pk), "show": "text"})
    assert "Dear Eva" in answer.content.decode()
    assert "{{ vorname }}" in page.post(reverse("template-notes"), LETTER | {"list": str(parents.pk)}).content.decode()


@pytest.mark.parametrize(("line", "name"), [("3", "Bo"), ("2", "Eva"), ("99", "Eva"), ("x", "Eva"), ("9" * 30, "Eva")])
def test_preview_shows_the_recipient_of_a_line(line: str, name: str, page: Client, parents: Batch) -> None:
    form = LETTER | {"list": str(parents.pk), "show": "text", "line": line}
    answer = page.post(reverse("template-preview"), form).content.decode()
    assert f"Dear {name}" in answer
    assert f"To {name.lower()}@example.org, line {3 if name == 'Bo' else 2}" in answer


def test_page_knows_what_is_not_saved(page: Client) -> None:
    """The script asks before it leaves a page with something that is not saved, and only then."""
    unsaved = " data-unsaved"
    assert unsaved not in page.get(reverse("template-new")).content.decode()
    assert unsaved in page.post(reverse("template-new"), LETTER | {"subject": ""}).content.decode()
    page.post(reverse("template-new"), LETTER)
    address = reverse("template", args=["party"])
    stored = LETTER | {"key": "party", "based_on": "1"}
    assert unsaved not in page.get(address).content.decode()
    tested = page.post(address, stored | {"then": "test", "test_to": "a@example.org"}).content.decode()
    assert "A test is on its way" in tested and unsaved not in tested
    assert unsaved in page.post(address, stored | {"source": "More", "then": "test", "test_to": ""}).content.decode()
    assert unsaved in page.post(address, stored | {"as_html": "yes"}).content.decode()
    assert unsaved in page.post(address, stored | {"source": "More", "based_on": "7"}).content.decode()


def test_list_of_another_user_is_not_shown(page: Client, parents: Batch, staff: User) -> None:
    Batch.objects.update(created_by=staff)
    answer = page.post(reverse("template-preview"), LETTER | {"list": str(parents.pk), "show": "text"})
    assert "Eva" not in answer.content.decode()


def test_styles_are_put_into_the_elements_or_the_fault_is_said(page: Client) -> None:
    form = {"name": "H", "subject": "S", "kind": "html", "html": "<style>p{color:red}</style><p>{{ a }}</p>"}
    answer = page.post(reverse("template-new"), form | {"inline": "yes"}).content.decode()
    assert "style=&quot;color: red;&quot;&gt;{{ a }}&lt;/p&gt;" in answer
    broken = form | {"html": "<p {% if a %}x{% endif %}>a</p>", "inline": "yes"}
    answer = page.post(reverse("template-new"), broken).content.decode()
    assert "would be lost or moved in this place" in answer
    assert "&lt;p {% if a %}x{% endif %}&gt;a&lt;/p&gt;" in answer


def test_letter_goes_on_in_html_when_that_is_asked(page: Client) -> None:
    answer = page.post(reverse("template-new"), LETTER | {"as_html": "yes"}).content.decode()
    assert "&lt;strong&gt;{{ vorname }}&lt;/strong&gt;" in typed(answer, "html")
    assert 'name="kind" value="html"' in answer


def test_test_of_what_is_typed_goes_to_several_addresses_and_saves_nothing(page: Client, parents: Batch) -> None:
    page.post(reverse("template-new"), LETTER)
    form = LETTER | {"source": "Hello {{ vorname }}", "then": "test", "test_to": "a@x.org, b@x.org; a@x.org"}
    answer = page.post(reverse("template", args=["party"]), form | {"list": str(parents.pk)})
    assert "A test is on its way to a@x.org, b@x.org." in answer.content.decode()
    job = EmailJob.objects.get()
    assert (job.text, job.batch.is_test, job.batch.title) == ("Hello {{ vorname }}\n", True, "Test of Party")
    assert sorted(job.batch.emails.values_list("address", flat=True)) == ["a@x.org", "b@x.org"]
    assert {email.fields[job.batch.merge_fields.index("vorname")] for email in job.batch.emails.all()} == {"Eva"}
    assert EmailTemplate.objects.get().source == LETTER["source"]


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        ("", "Write the address to which the test goes."),
        ("nonsense", "must have an @-sign"),
        (",".join(f"p{number}@x.org" for number in range(11)), "A test goes to 10 addresses at most."),
    ],
)
def test_test_is_refused_with_a_sentence(addresses: str, sentence: str, page: Client) -> None:
    page.post(reverse("template-new"), LETTER)
    form = LETTER | {"then": "test", "test_to": addresses}
    assert sentence in page.post(reverse("template", args=["party"]), form).content.decode()
    assert not EmailJob.objects.exists()


def test_picture_is_served_to_everybody_and_kept_in_caches(page: Client) -> None:
    answer = page.post(reverse("picture-upload"), {"picture": SimpleUploadedFile("hall.png", make_png())})
    assert answer.status_code == 201
    assert answer.json()["name"] == "hall"
    path = answer.json()["url"][answer.json()["url"].index("/pictures/") :]
    shown = Client().get(path)
    assert (shown.status_code, shown.content) == (200, make_png())
    assert shown.headers["Content-Type"] == "image/png"
    assert "immutable" in shown.headers["Cache-Control"]
    assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert page.post(reverse("picture-upload"), {"picture": SimpleUploadedFile("b.png", make_png())}).status_code == 201
    assert Picture.objects.count() == 1


@pytest.mark.parametrize(
    "content", [b"<svg onload=alert(1)>", b"", b"\x89PNG\r\n\x1a\n", make_png(20_000), make_png() + b"x" * 1_000_000]
)
def test_file_is_refused_when_it_is_no_picture_for_mail(content: bytes, page: Client) -> None:
    answer = page.post(reverse("picture-upload"), {"picture": SimpleUploadedFile("a.png", content)})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")
    assert not Picture.objects.exists()


def test_picture_is_refused_when_its_user_has_stored_many(page: Client, sender: User) -> None:
    for number in range(PICTURES_A_DAY):
        Picture.objects.create(
            digest=str(number),
            content=b"",
            content_type="image/png",
            width=1,
            height=1,
            size_bytes=0,
            uploaded_by=sender,
        )
    answer = page.post(reverse("picture-upload"), {"picture": SimpleUploadedFile("a.png", make_png())})
    assert "You have stored 100 pictures in 24 hours." in answer.json()["detail"]
    Picture.objects.filter(digest="7").update(created_at=timezone.now() - timedelta(hours=25))
    assert page.post(reverse("picture-upload"), {"picture": SimpleUploadedFile("a.png", make_png())}).status_code == 201


@pytest.mark.usefixtures("editor")
def test_letters_are_saved_again_when_their_frame_is_changed(page: Client) -> None:
    page.post(reverse("template-new"), LETTER)
    form = {"logo_words": "School", "accent": "#00aa00", "footer": "School\nStreet 1"}
    picture = SimpleUploadedFile("logo.png", make_png())
    answer = page.post(reverse("letter-frame"), form | {"picture": picture}, follow=True)
    assert "The frame was saved, and 1 letter with it." in answer.content.decode()
    stored = EmailTemplate.objects.get()
    assert stored.version == 2
    assert "#00aa00" in stored.html and "School<br>" in stored.html and 'alt="School"' in stored.html
    assert stored.text.endswith("\n\nSchool\nStreet 1\n")
    assert "/pictures/" in page.get(reverse("letter-frame-preview")).content.decode()
    page.post(reverse("letter-frame"), form | {"no_logo": "on"})
    assert LetterFrame.objects.get().logo is None


@pytest.mark.django_db(transaction=True)
def test_letter_has_the_new_frame_when_somebody_saves_it_at_the_same_moment(page: Client, editor: User) -> None:
    page.post(reverse("template-new"), LETTER)

    def save() -> int:
        try:
            frame = find_frame()
            frame.footer = "Street 1"
            return save_frame(frame, by=User.objects.get(pk=editor.pk))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            stored = EmailTemplate.objects.select_for_update().get()
            stored.source = "Dear all"
            compose(stored, user_id=editor.pk)  # with the frame as it was
            saving = pool.submit(save)
            while not saving.done() and not is_waiting_for_a_lock():
                pass
            save_template(stored, by=editor)
        assert saving.result() == 1
    stored.refresh_from_db()
    assert (stored.version, stored.text) == (3, "Dear all\n\nStreet 1\n")


@pytest.mark.usefixtures("editor")
@pytest.mark.parametrize(
    ("name", "value"),
    [("accent", "red"), ("footer", "{{ name }}"), ("footer", "{# x #}"), ("logo_words", "{{ name }}")],
)
def test_frame_is_refused_when_it_has_a_fault(name: str, value: str, page: Client) -> None:
    assert page.post(reverse("letter-frame"), {"accent": "#00aa00", name: value}).status_code == 422
    assert not LetterFrame.objects.exists()


def test_frame_is_for_template_editors(page: Client) -> None:
    assert page.get(reverse("letter-frame")).status_code == 403
    assert page.post(reverse("letter-frame"), {"accent": "#00aa00"}).status_code == 403


def test_list_says_who_changed_a_template_and_why_it_is_kept(page: Client, editor: User) -> None:
    page.post(reverse("template-new"), LETTER)
    text = page.get(reverse("templates")).content.decode()
    assert "Last changed by sender" in text
    assert "not sent yet" in text
    assert "It can&#x27;t be deleted while it is the default." in text
    assert "Dear …</span>" in text
