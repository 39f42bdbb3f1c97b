"""A test message has the values, and the rows, of the email that it copies."""

from __future__ import annotations

import io
import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.intake import import_csv
from batches.jobs import creation
from batches.message_tests import send_test_message
from batches.models import Batch, EmailTemplate, SharedAddresses
from batches.rendering.compiled import compile_parts
from batches.rendering.template import MessageParts, make_context

CHILDREN = "E-Mail,Vorname,Klasse Nr.\npia@x.org,Ann,3a\nPIA@x.org,Bo,5b\nred@x.org,Cy,1c\n"
LETTER = "{{ Vorname }}: {% for row in rows %}{{ row.vorname }} {{ row['Klasse Nr.'] }}; {% endfor %}"


@pytest.fixture
def draft(sender: User) -> Batch:
    stream = io.BytesIO(CHILDREN.encode())
    return import_csv(stream, filename="children.csv", user=sender, shared=SharedAddresses.TOGETHER).batch


@pytest.fixture
def letter(db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(key="letter", name="Letter", subject="S {{ VORNAME }}", text=LETTER)


def read_text(batch: Batch, parts: MessageParts) -> list[str]:
    """Return what the lanes would send to each email of a batch."""
    compiled = compile_parts(parts, batch.merge_fields)
    emails = batch.emails.order_by("row")
    return [compiled.render(compiled.make_context(email.fields, address=email.address)).text for email in emails]


def test_letter_has_all_rows_when_one_email_is_for_several(draft: Batch, letter: EmailTemplate) -> None:
    assert read_text(draft, MessageParts.of(letter)) == ["Ann: Ann 3a; Bo 5b; ", "Cy: Cy 1c; "]
    assert creation.create_job(draft, template=letter, user=None).total_count == 2


def test_test_message_has_all_rows_of_the_email_that_it_copies(
    draft: Batch, letter: EmailTemplate, sender: User
) -> None:
    email = draft.emails.order_by("row")[0]
    context = make_context(draft.merge_fields, email.fields, address=email.address)
    test = send_test_message(draft, context, to=["me@x.org"], template=letter, subject=None, user=sender)
    assert read_text(test, MessageParts.of(letter)) == ["Ann: Ann 3a; Bo 5b; "]
    assert list(test.emails.values_list("address", flat=True)) == ["me@x.org"]


def test_preview_has_all_rows_when_it_is_posted(
    client: Client, sender: User, draft: Batch, letter: EmailTemplate
) -> None:
    client.force_login(sender)

    def preview(**body: object) -> str:
        url = "/api/templates/letter/preview"
        answer: dict[str, str] = client.post(url, json.dumps(body), content_type="application/json").json()
        return answer.get("text") or answer["detail"]

    assert preview(batchId=draft.pk) == "Ann: Ann 3a; Bo 5b; "
    assert preview(fields={"VORNAME": "Eva", "Klasse Nr.": "9"}) == "Eva: Eva 9; "
    assert preview(fields={"Vornahme": "Eva", "Klasse Nr.": "9"}).startswith(
        "The list has no column for: Vorname. Near Vorname: Vornahme."
    )


def test_template_is_refused_with_the_near_column_when_it_does_not_fit(draft: Batch) -> None:
    misfit = EmailTemplate(key="misfit", name="Misfit", subject="S", text="{{ Vornahme }}")
    with pytest.raises(creation.TemplateRefused) as refusal:
        creation.create_job(draft, template=misfit, user=None)
    assert str(refusal.value).startswith("The list has no column for: Vornahme. Near Vornahme: vorname.")
