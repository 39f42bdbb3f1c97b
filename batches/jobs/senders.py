"""Choose whom the mails of a job come from, and refuse a sender that the user may not use.

The key or address that a user named enters, or nothing. A Sender leaves, or the copy of it that a job keeps. Every
door chooses here, and ``creation`` chooses again, so no door can leave the check out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User

from batches.jobs.lifecycle import JobRefused
from batches.mailboxes import Mailbox, SenderFault, is_on_localhost, refuse_controls
from batches.models import DEFAULT_SENDER, EmailJob, EmailTemplate, Sender
from batches.relays import find_routes
from batches.relays.local_senders import find_local_fault
from batches.sender_addresses import check_address, join_sender, read_sender

NAMED_COUNT_MAX = 20
"""How many senders an error names."""

NOT_FOUND, NOT_YOURS = 422, 403

AnyUser = User | AnonymousUser | None
"""Who sends. None: a command of the operator, who may use every sender."""


class SenderRefused(JobRefused):
    """The sender can't be used, or not by this user. The message says why and what to do."""

    def __init__(self, sentence: str, *, http_status: int = NOT_FOUND) -> None:
        super().__init__(sentence)
        self.http_status = http_status


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSender:
    """What a job keeps of its sender. The names are those of EmailJob's columns."""

    sender_id: int | None
    from_email: str
    reply_to: str


def choose_sender(named: str | None, *, template: EmailTemplate | None, user: AnyUser) -> Sender:
    """Return the sender that a user named; without a name the template's, the default one, or the first usable one.

    Args:
        named: A key or an address. None or empty: choose for the user.

    Raises:
        SenderRefused: there is no such sender, the user may not use it, or no mail can come from it.
    """
    keep_default_sender()
    sender = _find_named(named.strip(), user) if named and named.strip() else _choose_for(template, user)
    _refuse_unusable(sender)
    return sender


def copy_sender(sender: Sender) -> JobSender:
    """Return the copy of a chosen sender that a new job keeps.

    Raises:
        SenderRefused: its address is on this machine, and a relay would carry the mail elsewhere.
    """
    return _refuse_local(_copy(sender))


def copy_last(last: EmailJob, named: str | None, *, user: AnyUser) -> JobSender:
    """Return the sender of a replay: that of the last job as it was then, or the one that the user named.

    An address on this machine, such as webmaster@localhost, is not kept if the sender has another one by now.

    Raises:
        SenderRefused: as ``choose_sender``. The sender of the last job is refused too if the user may not use it.
    """
    if named and named.strip():
        return _refuse_local(_copy(choose_sender(named, template=last.template, user=user)))
    if last.sender_id is not None and not Sender.objects.usable_by(user).filter(pk=last.sender_id).exists():
        raise SenderRefused(
            f"The batch was sent from {last.from_email}, and you may not send from that. {_name_usable(user)}",
            http_status=NOT_YOURS,
        )
    kept = JobSender(sender_id=last.sender_id, from_email=last.from_email, reply_to=last.reply_to)
    return _refuse_local(_renew_local(kept))


def _renew_local(kept: JobSender) -> JobSender:
    if kept.sender_id is None or not is_on_localhost(kept.from_email):
        return kept
    keep_default_sender()
    now = Sender.objects.filter(pk=kept.sender_id).first()
    return kept if now is None or is_on_localhost(now.address) else _copy(now)


def _refuse_local(sender: JobSender) -> JobSender:
    """Refuse an address on this machine where it is known that a relay would carry the mail elsewhere.

    This process may know other relays than the workers do, so each lane looks again.
    """
    if is_on_localhost(sender.from_email):
        fault = find_local_fault(sender.from_email, find_routes(sender_id=sender.sender_id).routes)
        if fault:
            raise SenderRefused(fault)
    return sender


def list_senders(user: AnyUser) -> list[Sender]:
    """Return the senders that a user may use, the default one first."""
    keep_default_sender()
    return _list_usable(user)


def _list_usable(user: AnyUser) -> list[Sender]:
    usable = Sender.objects.usable_by(user).order_by("key")
    return sorted(usable, key=lambda sender: sender.key != DEFAULT_SENDER)


def keep_default_sender(*, even_local: bool = False) -> None:
    """Let the default sender follow DEFAULT_FROM_EMAIL until somebody edits it. Creates it if it is missing.

    A process in which nobody has set DEFAULT_FROM_EMAIL has webmaster@localhost there, as a command in a second
    terminal. It replaces no better address, which another process has from its own setting. With ``even_local`` it
    does, because a person asked for the setting of this process.

    Safe to call at any time. A faulty setting changes nothing; it is refused when somebody chooses the sender.
    """
    default = Sender.objects.filter(key=DEFAULT_SENDER).first()
    if default is not None and not default.is_from_settings:
        return
    try:
        wanted = read_sender(settings.DEFAULT_FROM_EMAIL)
    except SenderFault:
        wanted = None
    if default is None:
        name, address = wanted or Mailbox("", settings.DEFAULT_FROM_EMAIL[:320])
        Sender.objects.get_or_create(
            key=DEFAULT_SENDER, defaults={"display_name": name, "address": address, "is_from_settings": True}
        )
    elif wanted and default.mailbox != wanted and (even_local or not _is_worse(wanted.address, default.address)):
        # Conditional, because somebody may edit it at this moment.
        Sender.objects.filter(pk=default.pk, is_from_settings=True).update(
            display_name=wanted.name, address=wanted.address
        )


def _is_worse(wanted: str, present: str) -> bool:
    return is_on_localhost(wanted) and not is_on_localhost(present)


def _find_named(named: str, user: AnyUser) -> Sender:
    found = _find_by_key_or_address(named)
    if not found:
        raise SenderRefused(f"There is no sender '{named}'. {_name_usable(user)}")
    usable = list(Sender.objects.usable_by(user).filter(pk__in=[sender.pk for sender in found]))
    if not usable:
        raise SenderRefused(
            f"You may not send from '{named}'. {_name_usable(user)} An administrator can give you another.",
            http_status=NOT_YOURS,
        )
    if len(usable) > 1:
        keys = _join_keys(usable)
        raise SenderRefused(f"Several senders have the address {named}. Name one by its key: {keys}.")
    return usable[0]


def _find_by_key_or_address(named: str) -> list[Sender]:
    try:
        refuse_controls(named)  # PostgreSQL can't compare a text with NUL
        if by_key := Sender.objects.filter(key=named).first():
            return [by_key]
        address = check_address(named)
    except SenderFault:
        return []
    return list(Sender.objects.filter(address__iexact=address))


def _choose_for(template: EmailTemplate | None, user: AnyUser) -> Sender:
    usable = _list_usable(user)
    preferred = template.sender_id if template else None
    chosen = next((sender for sender in usable if sender.pk == preferred), None) or next(iter(usable), None)
    if chosen is None:
        raise SenderRefused(
            "There is no sender that you may send from. Ask an administrator for one.", http_status=NOT_YOURS
        )
    return chosen


def _refuse_unusable(sender: Sender) -> None:
    """Check the sender again: the setting may be faulty, or a row was not saved by the admin."""
    try:
        if sender.is_from_settings:
            read_sender(settings.DEFAULT_FROM_EMAIL)
        join_sender(*sender.mailbox)
        if sender.reply_to:
            read_sender(sender.reply_to)
    except SenderFault as exc:
        remedy = (
            "Set DEFAULT_FROM_EMAIL to an address such as post@example.org."
            if sender.is_from_settings
            else "Correct it in the admin."
        )
        raise SenderRefused(f"No mail can come from the sender '{sender.key}'. {exc} {remedy}") from exc


def _copy(sender: Sender) -> JobSender:
    return JobSender(sender_id=sender.pk, from_email=str(sender.mailbox), reply_to=sender.reply_to)


def _name_usable(user: AnyUser) -> str:
    usable = _list_usable(user)
    if not usable:
        return "You have no sender yet: ask an administrator for one."
    return f"You may send from: {_join_keys(usable[:NAMED_COUNT_MAX])}."


def _join_keys(senders: Iterable[Sender]) -> str:
    return ", ".join(sender.key for sender in senders)
