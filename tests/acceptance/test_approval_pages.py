"""What was reviewed is what goes out: two people, each in a browser of their own, on a real stack with a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.browser import running_browser, signed_in_page, take_picture
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until

LIMIT = 2
PASSWORD = "Correct-Horse-7"
PEOPLE = {
    "alice": ["Senders"],
    "bob": ["Senders", "Approvers", "Template editors"],
}
MAKE_PEOPLE = f"""
from django.contrib.auth.models import Group, User
for name, groups in {PEOPLE!r}.items():
    user = User.objects.create_user(name, f"{{name}}@example.org", {PASSWORD!r})
    user.groups.set(Group.objects.filter(name__in=groups))
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("approval", workers=1, environment={"APPROVAL_ABOVE": str(LIMIT)}) as running:
        running.manage("shell", "-c", MAKE_PEOPLE)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


@pytest.fixture
def people(stack: RunningStack, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Alice's and Bob's tabs, which share no cookie."""
    with ExitStack() as opened:
        alice, bob = (
            opened.enter_context(signed_in_page(browser, replace(stack, username=name, password=PASSWORD)))
            for name in PEOPLE
        )
        yield alice, bob


def upload(page: Page, *, count: int, name: str) -> int:
    """Upload a list, and leave its review open. Returns the batch's id."""
    rows = "".join(f"p{number}@{name}.example.org,Person {number}\n" for number in range(count))
    page.goto("/")
    file = {"name": f"{name}.csv", "mimeType": "text/csv", "buffer": f"email,name\n{rows}".encode()}
    page.set_input_files("#id_file", file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/review/"))
    found = re.search(r"/batches/(\d+)/review/", page.url)
    assert found
    return int(found[1])


def mails_to(stack: RunningStack, name: str) -> list[str]:
    """Return the texts of the mails to a list's people."""
    mails = [message for recipients, message in stack.mails() if f"@{name}.example.org" in recipients]
    return [str(message.get_body(("plain",)).get_content()) for message in mails]  # type: ignore[union-attr]


def test_batch_goes_out_when_a_second_person_approved_it(people: tuple[Page, Page], stack: RunningStack) -> None:
    alice, bob = people
    batch_id = upload(alice, count=LIMIT + 1, name="council")
    take_picture(alice, "approval-review")
    alice.get_by_role("button", name="Ask for approval to send to 3 recipients").click()
    alice.wait_for_url(re.compile(rf"/batches/{batch_id}/$"))
    expect(alice.locator("#approval")).to_contain_text("It waits for approval.")
    expect(alice.locator("#waiting-for")).to_contain_text("A second person must approve it")
    take_picture(alice, "approval-waits")
    alice.evaluate("window.isSamePage = true")  # a reload would remove it
    assert mails_to(stack, "council") == []

    bob.get_by_role("link", name="To approve").click()
    take_picture(bob, "approval-list")
    bob.get_by_role("link", name="council").click()
    expect(bob.locator("#list")).to_contain_text("p1@council.example.org")
    expect(bob.locator(".mail dl")).to_contain_text("p0@council.example.org")
    expect(bob.frame_locator(".mail iframe").locator("body")).to_contain_text("Welcome, Person 0!")
    bob.get_by_role("link", name="Next →").click()
    expect(bob.locator(".mail dl")).to_contain_text("p1@council.example.org")
    take_picture(bob, "approval-answer")
    bob.click("#approve")
    bob.wait_for_url(re.compile("/approvals/$"))
    expect(bob.locator(".notice.success")).to_contain_text("It goes out to 3 recipients.")

    expect(alice.locator("#status")).to_contain_text("Completed", timeout=20_000)
    expect(alice.locator("#approval .notice")).to_have_count(0)
    assert alice.evaluate("window.isSamePage")
    assert len(mails_to(stack, "council")) == LIMIT + 1


def test_asker_reads_why_an_approval_was_refused_while_the_page_is_open(people: tuple[Page, Page]) -> None:
    alice, bob = people
    batch_id = upload(alice, count=LIMIT + 1, name="refused")
    alice.click("#send")
    expect(alice.locator("#approval")).to_contain_text("It waits for approval.")
    alice.evaluate("window.isSamePage = true")
    bob.goto(f"/batches/{batch_id}/approval/")
    bob.fill("#reason", "The date is wrong.")
    bob.click("#refuse")
    expect(alice.locator("#approval")).to_contain_text("bob refused to approve it. The date is wrong.", timeout=20_000)
    assert alice.evaluate("window.isSamePage")
    take_picture(alice, "approval-refused")


def test_asker_is_told_when_a_change_takes_the_question_back(people: tuple[Page, Page], stack: RunningStack) -> None:
    alice, bob = people
    batch_id = upload(alice, count=LIMIT + 1, name="changed")
    alice.click("#send")
    expect(alice.locator("#approval")).to_contain_text("It waits for approval.")
    bob.goto(f"/batches/{batch_id}/approval/")
    other = alice.context.new_page()
    other.goto(f"/batches/{batch_id}/review/")
    other.fill('[name="field-name"]', "first_name")
    other.get_by_role("button", name="Save the names").click()
    bob.click("#approve")
    expect(bob.locator(".notice.error")).to_contain_text("the list")
    expect(alice.locator("#approval")).to_contain_text("It no longer waits for approval", timeout=20_000)
    assert mails_to(stack, "changed") == []


def test_sender_looks_again_when_the_template_was_changed_during_the_review(
    people: tuple[Page, Page], stack: RunningStack
) -> None:
    alice, bob = people
    upload(alice, count=1, name="look")
    bob.goto("/templates/welcome_email/edit/")
    bob.fill("#id_html", "")
    bob.fill("#id_text", "Sign in at https://evil.example/ now.")
    bob.get_by_role("button", name="Save", exact=True).click()
    bob.wait_for_url(re.compile("/templates/$"))

    alice.click("#send")
    expect(alice.get_by_role("alert")).to_contain_text(
        "Something has changed since you reviewed it: the message. Look again"
    )
    expect(alice.locator(".mail")).to_contain_text("Sign in at https://evil.example/ now.")
    take_picture(alice, "review-changed")
    assert mails_to(stack, "look") == []
    alice.click("#send")
    alice.wait_for_url(re.compile(r"/batches/\d+/$"))
    wait_until(lambda: len(mails_to(stack, "look")) == 1, within_seconds=30, what="The mail after the second look")

    bob.goto("/templates/welcome_email/versions/")
    take_picture(bob, "template-versions")
    bob.get_by_role("link", name="What version 2 changed").click()
    expect(bob.locator("ins")).to_contain_text(["Sign in at https://evil.example/ now."])
    take_picture(bob, "template-version")
    bob.get_by_role("link", name="Versions").click()
    bob.get_by_role("link", name="What version 1 changed").click()
    bob.get_by_text("Use this version again…").click()
    bob.get_by_role("button", name="Use version 1").click()
    expect(bob.locator(".notice.success")).to_contain_text("Version 1 is used again. It was saved as version 3.")


def test_reader_copies_a_template_that_belongs_to_another(people: tuple[Page, Page]) -> None:
    alice, _ = people
    alice.goto("/templates/")
    take_picture(alice, "templates")
    alice.get_by_role("link", name="Look").first.click()
    expect(alice.get_by_role("button", name="Save")).to_have_count(0)
    take_picture(alice, "template-read-only")
    alice.get_by_role("link", name="Copy").click()
    expect(alice.locator("#id_name")).to_have_value(re.compile("^Copy of "))
    alice.get_by_role("button", name="Save", exact=True).click()
    alice.wait_for_url(re.compile("/templates/$"))
    mine = alice.locator("article.template", has_text="Copy of")
    expect(mine.get_by_role("link", name="Edit")).to_be_visible()
