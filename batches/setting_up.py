"""What an administrator should set up before people send: each item with its state, as far as it can be found out.

Settings and a few rows enter. CheckListItems leave, for the page of the checklist. Nothing here looks into DNS or
connects to a mail server: what the sender check and the last sends found is enough, and a page must not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _

from batches import unsubscribe_tokens
from batches.factors import OFF, has_factor
from batches.jobs.queues import fleet_status
from batches.models import DEFAULT_SENDER, Confirmation, ConfirmedThing, EmailJob, RelayPause, RoundTrip, Sender

BACKUP_COUNTS_FOR = timedelta(days=90)
"""After that, an administrator should look at the backup again."""

LOCAL_DOMAIN = "@localhost"


class State(Enum):
    """How far an item is."""

    DONE = "ready"
    LOOK = "look"
    """It works, but somebody should decide whether it is meant so."""
    OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecklistItem:
    """One thing to set up."""

    key: str
    title: str
    state: State
    sentence: str
    """What was found."""
    advice: str = ""
    """What to do. Empty where nothing is to be done."""
    setting: str = ""
    """The line that does it, as the environment has it."""
    at: datetime | None = None
    """When it was last seen to be so."""

    @property
    def is_done(self) -> bool:
        return self.state is State.DONE

    @property
    def is_open(self) -> bool:
        return self.state is State.OPEN


def list_items(user: User) -> list[ChecklistItem]:
    """Find out the state of every item, for one administrator."""
    return [
        _mail_server(),
        _sender(),
        _dns(),
        _public_address(),
        _unsubscribing(),
        _workers(),
        _second_factor(user),
        _time_zone(),
        _returns(),
        _backup(),
        _retention(),
        _services(),
    ]


def _mail_server() -> ChecklistItem:
    item = _make("mail-server", _("A mail server carries the mail"))
    if settings.IS_LOCAL_INBOX:
        return item(
            State.OPEN,
            _("No mail server is set. Every email stops in the inbox of this program."),
            advice=_("Set the address and the login of your mail server, then start the program again."),
            setting="EMAIL_URL=smtp+tls://user:password@mail.example.org:587",
        )
    pause = RelayPause.objects.filter(until__gt=timezone.now()).order_by("until").first()
    if pause is not None:
        return item(State.OPEN, pause.sentence, advice=_("It is tried again by itself."))
    last = EmailJob.objects.filter(sent_count__gt=0, completed_at__isnull=False).order_by("-pk").first()
    if last is None:
        return item(
            State.LOOK,
            _("A mail server is set. Nothing was sent through it yet."),
            advice=_("Upload a list with your own address, and send yourself a test."),
        )
    return item(State.DONE, _("A mail server is set, and it took mail."), at=last.completed_at)


def _sender() -> ChecklistItem:
    item = _make("sender", _("Mail comes from your own address"))
    default = Sender.objects.filter(key=DEFAULT_SENDER).first()
    address = default.address if default else settings.DEFAULT_FROM_EMAIL
    if LOCAL_DOMAIN in address:
        return item(
            State.OPEN,
            _("The default sender is %(address)s. Nobody can answer there, and most mail servers refuse it.")
            % {"address": address},
            advice=_("Set an address of your own domain, or change the sender in the admin."),
            setting="DEFAULT_FROM_EMAIL=Northtown School <news@example.org>",
        )
    return item(State.DONE, _("The default sender is %(address)s.") % {"address": address})


def _dns() -> ChecklistItem:
    item = _make("dns", _("Receivers can check that the mail is yours (SPF, DKIM, DMARC)"))
    arrived = RoundTrip.objects.exclude(arrived_at=None).order_by("-pk").first()
    advice = _("Open the check of each sender in the admin. It shows which DNS records are missing.")
    if arrived is None:
        return item(State.OPEN, _("No sender was checked by a message of its own."), advice=advice)
    return item(State.DONE, _("A message of the check arrived."), advice=advice, at=arrived.arrived_at)


def _public_address() -> ChecklistItem:
    item = _make("public-address", _("Links in mails lead to this site"))
    url = urlsplit(settings.PUBLIC_URL)
    sentence = _("Links begin with %(url)s.") % {"url": settings.PUBLIC_URL or "-"}
    if url.scheme == "https":
        return item(State.DONE, sentence)
    return item(
        State.OPEN,
        sentence,
        advice=_("Recipients reach only an https address. Set the address of this site as they see it."),
        setting="PUBLIC_URL=https://mail.example.org",
    )


def _unsubscribing() -> ChecklistItem:
    item = _make("unsubscribing", _("Recipients of news can unsubscribe"))
    if not settings.UNSUBSCRIBE_KEYS:
        return item(
            State.OPEN,
            _("There is no key for the links with which recipients unsubscribe, so no news can be sent."),
            advice=_("Make a long random text, the same for the web process and all workers. Keep it for years."),
            setting='UNSUBSCRIBE_KEYS=…   # python -c "import secrets; print(secrets.token_urlsafe(50))"',
        )
    why_not = unsubscribe_tokens.is_ready()
    return item(State.OPEN, why_not) if why_not else item(State.DONE, _("Each mail of news has its link."))


def _workers() -> ChecklistItem:
    item = _make("workers", _("Sending is switched on"))
    fleet = fleet_status()
    if not fleet.redis:
        return item(State.OPEN, fleet.fault or _("Redis can't be reached."), advice=_("Start it, or look at its log."))
    if not fleet.workers:
        return item(State.OPEN, _("No worker is running, so nothing is sent."), advice=_("Start a worker."))
    return item(State.DONE, _("%(count)s workers are running.") % {"count": fleet.workers})


def _second_factor(user: User) -> ChecklistItem:
    item = _make("second-factor", _("A password alone lets nobody in"))
    if not has_factor(user):
        return item(
            State.OPEN,
            _("Your own account has no second factor."),
            advice=_("Add an authenticator app or a passkey under your account."),
        )
    if settings.REQUIRE_MFA == OFF:
        return item(
            State.LOOK,
            _("Your account has a second factor. Others need none."),
            advice=_("Ask it of those who send, or of all."),
            setting="REQUIRE_MFA=senders",
        )
    return item(State.DONE, _("Your account has a second factor, and others need one too."))


def _time_zone() -> ChecklistItem:
    item = _make("time-zone", _("Times are those of your clock"))
    sentence = _("The time zone is %(zone)s. It counts in downloads and mails, and where a browser runs no script.") % {
        "zone": settings.TIME_ZONE
    }
    if settings.TIME_ZONE != "UTC":
        return item(State.DONE, sentence)
    return item(State.LOOK, sentence, advice=_("Set your own time zone."), setting="TIME_ZONE=Europe/Berlin")


def _returns() -> ChecklistItem:
    item = _make("returns", _("What comes back is noticed"))
    if not settings.BOUNCE_ADDRESS:
        return item(
            State.OPEN,
            _("Nobody notices when mail comes back, so you go on writing to addresses that are gone."),
            advice=_("Set an address to which undelivered mail returns. docs/returns.md says how."),
            setting="BOUNCE_ADDRESS=returns@mail.example.org",
        )
    if not (settings.RETURNS_URL or settings.WEBHOOK_SECRETS):
        return item(
            State.OPEN,
            _("Mail comes back to %(address)s, and nothing reads it.") % {"address": settings.BOUNCE_ADDRESS},
            advice=_("Name the mailbox, and start manage.py readreturns."),
            setting="RETURNS_URL=imap+ssl://user:password@mail.example.org/INBOX",
        )
    return item(State.DONE, _("Mail comes back to %(address)s.") % {"address": settings.BOUNCE_ADDRESS})


def _backup() -> ChecklistItem:
    item = _make("backup", _("There is a backup of the database, and it was read back"))
    advice = _("The program can't see it. Restore a backup for a try, then confirm it here.")
    last = Confirmation.objects.filter(thing=ConfirmedThing.BACKUP).select_related("by").first()
    if last is None:
        return item(State.OPEN, _("Nobody has confirmed it yet."), advice=advice)
    sentence = _("%(name)s confirmed it.") % {"name": last.by.get_username() if last.by else "-"}
    is_recent = timezone.now() - last.at < BACKUP_COUNTS_FOR
    return item(State.DONE if is_recent else State.LOOK, sentence, advice="" if is_recent else advice, at=last.at)


def _retention() -> ChecklistItem:
    item = _make("retention", _("Old addresses are removed"))
    if settings.RETENTION_DAYS:
        sentence = _("Addresses are removed after %(days)s days.") % {"days": settings.RETENTION_DAYS}
        return item(State.DONE, sentence)
    return item(
        State.LOOK,
        _("Addresses are kept for ever."),
        advice=_("Decide how long you need them."),
        setting="RETENTION_DAYS=365",
    )


def _services() -> ChecklistItem:
    item = _make("services", _("The database is your own"))
    if settings.IS_LOCAL_DATABASE or settings.IS_LOCAL_REDIS:
        return item(
            State.LOOK,
            _("The program runs with a database of its own, which is meant for trying it out."),
            advice=_("Name your own PostgreSQL and Redis. docs/operations.md says how."),
            setting="DATABASE_URL=postgres://… REDIS_URL=redis://…",
        )
    return item(State.DONE, _("PostgreSQL and Redis are those of the settings."))


def _make(key: str, title: str) -> Callable[..., ChecklistItem]:
    def make(state: State, sentence: str, **more: object) -> ChecklistItem:
        return ChecklistItem(key=key, title=title, state=state, sentence=sentence, **more)  # type: ignore[arg-type]

    return make
