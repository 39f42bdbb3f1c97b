"""Saving, comparing and restoring the versions of templates, and who may do it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connections

from batches.models import AuditAction, AuditEntry, EmailTemplate, JobStatus, TemplateVersion
from batches.permissions import NotPermitted
from batches.template_comparison import COMPARED_LINES_MAX, compare
from batches.template_versions import (
    TemplateChanged,
    TemplateInUse,
    delete_template,
    make_default,
    restore_version,
    save_template,
)
from tests.conftest import MakeBatch, MakeJob, MakeUser


def write(by: User | None, *, key: str = "council", text: str = "One") -> EmailTemplate:
    template = EmailTemplate(key=key, name="Council", subject="Council news", text=text)
    save_template(template, by=by)
    return template


def rewrite(template: EmailTemplate, text: str, *, by: User | None, based_on: int | None = None) -> TemplateVersion:
    fresh = EmailTemplate.objects.get(pk=template.pk)
    fresh.text = text
    return save_template(fresh, by=by, based_on=based_on)


def test_each_save_keeps_who_and_what(sender: User, make_user: MakeUser) -> None:
    template = write(sender)
    editor = make_user("editor", "Template editors")
    rewrite(template, "Two", by=editor)
    template.refresh_from_db()
    assert (template.owner, template.version, template.text) == (sender, 2, "Two")
    versions = template.versions.order_by("number").values_list("number", "text", "saved_by__username")
    assert list(versions) == [(1, "One", "sender"), (2, "Two", "editor")]
    saved = AuditEntry.objects.filter(action=AuditAction.TEMPLATE_CHANGE).order_by("pk")
    assert [entry.details["version"] for entry in saved] == [1, 2]


def test_template_is_changed_by_its_owner_and_by_editors_only(sender: User, make_user: MakeUser) -> None:
    template = write(sender)
    for user in (make_user("other", "Senders", "Approvers", "Auditors"), make_user("staff", is_staff=True)):
        with pytest.raises(NotPermitted, match="Copy it"):
            rewrite(template, "Evil", by=user)
        with pytest.raises(NotPermitted):
            delete_template(template, by=user)
        with pytest.raises(NotPermitted):
            restore_version(template, 1, by=user)
    with pytest.raises(NotPermitted):
        make_default(template, by=sender)
    template.refresh_from_db()
    assert (template.text, template.version) == ("One", 1)


def test_template_without_an_owner_is_changed_by_editors_only(sender: User, make_user: MakeUser) -> None:
    template = write(None)
    with pytest.raises(NotPermitted):
        rewrite(template, "Two", by=sender)
    assert rewrite(template, "Two", by=make_user("editor", "Template editors")).number == 2


def test_inactive_owner_changes_nothing(sender: User) -> None:
    template = write(sender)
    sender.is_active = False
    with pytest.raises(NotPermitted):
        rewrite(template, "Two", by=sender)


def test_save_is_refused_when_somebody_saved_meanwhile(sender: User) -> None:
    template = write(sender)
    rewrite(template, "Two", by=sender, based_on=1)
    with pytest.raises(TemplateChanged, match="sender saved version 2 of this template while you were writing"):
        rewrite(template, "Three", by=sender, based_on=1)
    assert EmailTemplate.objects.get().text == "Two"


@pytest.mark.django_db(transaction=True)
def test_versions_are_numbered_once_when_many_save_at_once(sender: User) -> None:
    template = write(sender)

    def save(number: int) -> int:
        try:
            return rewrite(template, f"Text {number}", by=sender).number
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(save, range(6))) == [2, 3, 4, 5, 6, 7]
    template.refresh_from_db()
    assert template.text == template.versions.get(number=template.version).text


def test_parts_before_the_first_version_are_kept(sender: User) -> None:
    """A template that was stored by another program has no version yet."""
    template = EmailTemplate.objects.create(key="old", name="Old", subject="S", text="Before", owner=sender)
    rewrite(template, "After", by=sender)
    assert list(template.versions.order_by("number").values_list("text", flat=True)) == ["Before", "After"]


def test_restored_version_is_a_new_one(sender: User) -> None:
    template = write(sender)
    rewrite(template, "Two", by=sender)
    template.refresh_from_db()
    assert restore_version(template, 1, by=sender).number == 3
    template.refresh_from_db()
    assert (template.text, template.version) == ("One", 3)


def test_save_leaves_the_owner_and_the_default_as_they_are(sender: User, make_user: MakeUser) -> None:
    editor = make_user("editor", "Template editors")
    stale = write(sender)
    make_default(stale, by=editor)
    stale.text, stale.owner = "Two", editor
    save_template(stale, by=editor)
    stored = EmailTemplate.objects.get()
    assert (stored.is_default, stored.owner, stored.text) == (True, sender, "Two")


def test_own_unused_template_is_deleted(sender: User) -> None:
    delete_template(write(sender), by=sender)
    assert not EmailTemplate.objects.exists()
    assert AuditEntry.objects.filter(action=AuditAction.TEMPLATE_DELETE).exists()


def test_used_template_is_kept(sender: User, welcome: EmailTemplate, make_batch: MakeBatch, make_job: MakeJob) -> None:
    EmailTemplate.objects.update(owner=sender, is_default=False)
    make_job(make_batch(sent=1), JobStatus.CANCELLED)
    with pytest.raises(TemplateInUse, match="was not deleted"):
        delete_template(EmailTemplate.objects.get(), by=sender)


def marks(former: str, later: str) -> str:
    one, other = (TemplateVersion(name="N", subject="S", text=text) for text in (former, later))
    text = next(part for part in compare(one, other) if part.name == "Text body")
    return "".join(line.mark for line in text.lines)


@pytest.mark.parametrize(
    ("former", "later", "expected"),
    [
        ("a\nb\nc", "a\nb\nc", "   "),
        ("a\nb\nc", "a\nx\nc", " -+ "),
        ("", "a\nb", "++"),
        ("a\nb", "", "--"),
        ("a", "a\nb", " +"),
        ("b", "a\nb", "+ "),
        ("a\na", "a\na\na", "  +"),
        ("a\nb\nc\nd", "a\nc\nx\nd", " - + "),
    ],
)
def test_lines_that_differ_are_marked(former: str, later: str, expected: str) -> None:
    assert marks(former, later) == expected


@pytest.mark.parametrize("lines", [COMPARED_LINES_MAX // 2, 50_000])
@pytest.mark.parametrize("pattern", [("a", "b"), ("a", "a"), ("x", "")])
def test_comparison_of_hostile_texts_takes_little_time(lines: int, pattern: tuple[str, str]) -> None:
    one, other = pattern
    former = "\n".join((one, other) * (lines // 2)) + "\nend of one"
    later = "\n".join((other, one) * (lines // 2)) + "\nend of other"
    began_at = time.process_time()
    found = marks(former, later)
    assert time.process_time() - began_at < 3
    assert {"-", "+"} <= set(found) or "~" in found
