"""The catalogue: each page in each state, with who looks at it, and what is pressed before one looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.apps import apps
from django.contrib import admin
from playwright.sync_api import Page

Act = Callable[[Page], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One page in one state."""

    name: str
    address: str
    """With ids of the world in braces."""
    who: str = "sender"
    """A role of ``world.World.cookies``, or ``nobody``."""
    act: Act | None = None
    """Brings the page into the state."""
    template: str = ""
    """For pages of faults that cannot be provoked here: the template that is shown at the address."""


def open_details(selector: str) -> Act:
    """Open what is folded away."""
    return lambda page: page.locator(selector).first.evaluate("element => { element.open = true }")


def press(name: str) -> Act:
    """Press a button that stays on the page, or leads to the next."""
    return lambda page: page.get_by_role("button", name=name).first.click()


def _fill_and_press(fields: dict[str, str], name: str) -> Act:
    def act(page: Page) -> None:
        for selector, value in fields.items():
            page.fill(selector, value)
        press(name)(page)
        page.wait_for_load_state()

    return act


def _choose_action(action: str) -> Act:
    """Tick the first line of a list of the admin, and run an action on it."""

    def act(page: Page) -> None:
        page.locator("input.action-select").first.check()
        page.select_option('select[name="action"]', action)
        page.locator('button[name="index"]').first.click()
        page.wait_for_load_state()

    return act


BATCH = "/batches/{%s}/"

HOME = [
    Shown(name="sign-in", address="/accounts/login/", who="nobody"),
    Shown(
        name="sign-in-refused",
        address="/accounts/login/",
        who="nobody",
        act=_fill_and_press({'[name="username"]': "ines", '[name="password"]': "wrong"}, "Sign in"),
    ),
    Shown(name="home", address="/"),
    Shown(name="home-administrator", address="/", who="admin"),
    Shown(name="home-reader", address="/", who="newcomer"),
    Shown(name="home-refused", address="/", act=press("Upload")),
    Shown(name="batches", address="/batches/"),
    Shown(name="batches-administrator", address="/batches/", who="admin"),
    Shown(name="batches-none", address="/batches/", who="newcomer"),
]
"""The pages on which one begins."""

ONE_BATCH = [
    *(
        Shown(name=f"batch-{state}", address=BATCH % state)
        for state in ("draft", "asked", "refused", "scheduled", "queued", "running", "waiting", "paused")
    ),
    *(Shown(name=f"batch-{state}", address=BATCH % state) for state in ("cancelled", "failed", "completed", "mixed")),
    Shown(name="batch-administrator", address=BATCH % "mixed", who="admin"),
    Shown(name="batch-tab-failed", address=f"{BATCH % 'mixed'}?status=failed"),
    Shown(name="batch-tab-rejected", address=f"{BATCH % 'mixed'}?status=rejected"),
    Shown(name="batch-tab-returned", address=f"{BATCH % 'mixed'}?status=returned"),
    Shown(name="batch-tab-none", address=f"{BATCH % 'completed'}?status=failed"),
    Shown(name="batch-attempts", address=f"{BATCH % 'mixed'}?status=failed", act=open_details("#rows details")),
    Shown(
        name="batch-question", address=BATCH % "running", act=open_details("#progress details.confirm:not([hidden])")
    ),
    Shown(
        name="batch-change-time",
        address=BATCH % "scheduled",
        act=open_details("#progress details.confirm:not([hidden])"),
    ),
    Shown(name="review", address="/batches/{draft}/review/"),
    Shown(name="review-odd", address="/batches/{odd_draft}/review/"),
    Shown(name="approvals", address="/approvals/", who="approver"),
    Shown(name="approval", address="/batches/{asked}/approval/", who="approver"),
    Shown(name="approval-refused", address="/batches/{refused}/approval/", who="approver"),
]
"""The pages of one batch."""

LETTERS = [
    Shown(name="templates", address="/templates/"),
    Shown(name="template-new", address="/templates/new/"),
    Shown(name="template-refused", address="/templates/new/", act=press("Save")),
    Shown(name="template", address="/templates/{template}/edit/"),
    Shown(name="template-read-only", address="/templates/{template}/edit/", who="approver"),
    Shown(name="versions", address="/templates/{template}/versions/"),
    Shown(name="version", address="/templates/{template}/versions/2/"),
]
"""The pages of templates."""

OFFICE = [
    Shown(name="audit", address="/audit/", who="auditor"),
    Shown(name="audit-none", address="/audit/?user=nobody-of-this-name", who="auditor"),
    Shown(name="person", address="/person/", who="auditor"),
    Shown(
        name="person-found",
        address="/person/",
        who="auditor",
        act=lambda page: _fill_and_press({'[name="address"]': page.evaluate("window.sought")}, "Search")(page),
    ),
    Shown(name="do-not-send", address="/do-not-send/", who="auditor"),
    Shown(name="do-not-send-add", address="/do-not-send/", who="auditor", act=open_details("details.more")),
    Shown(name="inbox", address="/inbox/", who="admin"),
    Shown(name="inbox-none", address="/inbox/?recipient=nobody", who="admin"),
    Shown(name="inbox-message", address="/inbox/1/", who="admin"),
    Shown(name="tokens", address="/accounts/tokens/"),
    Shown(name="account", address="/accounts/"),
    Shown(name="password", address="/accounts/password/"),
    Shown(name="sessions", address="/accounts/sessions/"),
    Shown(name="two-factor", address="/accounts/two-factor/"),
    Shown(name="two-factor-app", address="/accounts/two-factor/totp/activate/"),
    Shown(name="unsubscribe", address="{unsubscribe}", who="nobody"),
    Shown(
        name="api-docs",
        address="/api/docs",
        who="admin",
        act=lambda page: page.wait_for_selector(".swagger-ui h1, .swagger-ui h2"),
    ),
]
"""The pages of auditors and approvers, of one's account, and of recipients."""

FAULTS = [
    Shown(name="fault-403", address="/audit/"),
    Shown(name="fault-404", address="/batches/999999/"),
    Shown(name="fault-404-nobody", address="/no-such-page/", who="nobody"),
    *(Shown(name=f"fault-{code}", address="/", template=f"{code}.html") for code in ("400", "403_csrf", "429", "500")),
]
"""What is shown instead of a page."""


def _admin_pages() -> list[Shown]:
    models = [model for model in apps.get_models() if admin.site.is_registered(model)]
    lists = {model._meta.label_lower.replace(".", "/"): model._meta.model_name for model in models}
    return [
        Shown(name="admin", address="/admin/", who="admin"),
        *(Shown(name=f"admin-list-{name}", address=f"/admin/{path}/", who="admin") for path, name in lists.items()),
        *(
            Shown(name=f"admin-one-{name}", address=f"/admin/batches/{name}/{{{key}}}/change/", who="admin")
            for name, key in ADMIN_RECORDS.items()
        ),
        Shown(name="admin-one-user", address="/admin/auth/user/{user}/change/", who="admin"),
        Shown(name="admin-add-user", address="/admin/auth/user/add/", who="admin"),
        Shown(name="admin-add-group", address="/admin/auth/group/add/", who="admin"),
        Shown(name="admin-emails-search", address="/admin/batches/email/?q=person1", who="admin"),
        Shown(name="admin-reply-meaning", address="/admin/reply-meaning/", who="admin"),
        Shown(name="admin-delete", address="/admin/batches/batch/", who="admin", act=_choose_action("delete_selected")),
        Shown(name="admin-send-email", address="/admin/auth/user/", who="admin", act=_choose_action("send_email")),
    ]


ADMIN_RECORDS = {
    "batch": "mixed",
    "email": "email",
    "emailjob": "job",
    "emailtemplate": "template_id",
    "sender": "sender",
    "topic": "topic",
    "relay": "relay",
    "webhook": "webhook",
}
"""The records of which the admin's page is shown, with the id in the world."""

FIRST_DAY = [
    Shown(name="first-home", address="/", who="admin"),
    Shown(name="first-batches", address="/batches/", who="admin"),
    Shown(name="first-templates", address="/templates/", who="admin"),
    Shown(name="first-template", address="/templates/new/", who="admin"),
    Shown(name="first-approvals", address="/approvals/", who="admin"),
    Shown(name="first-audit", address="/audit/", who="admin"),
    Shown(name="first-inbox", address="/inbox/", who="admin"),
    Shown(name="first-do-not-send", address="/do-not-send/", who="admin"),
    Shown(name="first-tokens", address="/accounts/tokens/", who="admin"),
]
"""The pages of a site on which there is nothing yet."""

PAGES = [*HOME, *ONE_BATCH, *LETTERS, *OFFICE, *FAULTS]
"""The pages that people see who send."""

ADMIN_PAGES = _admin_pages()
