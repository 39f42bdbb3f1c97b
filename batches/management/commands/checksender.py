"""``manage.py checksender ADDRESS``: is a Sender set up right? Exit status 0 only when nothing is red."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from batches.intake import ListRefused
from batches.jobs.lifecycle import JobRefused
from batches.jobs.senders import SenderRefused, choose_sender
from batches.management.command import ActingCommand
from batches.models import RoundTrip, Sender
from batches.sender_checks import CheckItem, Light, SenderCheck, check_sender, start_round_trip, why_not
from batches.sender_checks.published import SELECTOR

WAIT_SECONDS = 60
POLL_SECONDS = 0.5

MARKS = {Light.GREEN: "ok", Light.AMBER: "look", Light.RED: "FIX", Light.GREY: "?"}
COLUMN_CHARS = max(map(len, MARKS.values()))


class Command(ActingCommand):
    help = (
        "Check the DNS records of a sender, and with --round-trip how its mail arrives. Exit status 0 only when "
        "nothing has to be fixed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sender", metavar="ADDRESS", help="The address of the sender, or its key.")
        parser.add_argument("--selector", default="", help="The selector of the DKIM key. Left out: as mail has it.")
        parser.add_argument("--round-trip", action="store_true", help="Send a message to the return mailbox first.")
        parser.add_argument(
            "--wait", type=int, default=WAIT_SECONDS, metavar="SECONDS", help="How long to wait for it at most."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object and nothing else.")

    def handle(self, *args: Any, **options: Any) -> None:
        selector = options["selector"].strip()
        if selector and not SELECTOR.fullmatch(selector):
            raise CommandError("The selector can't be used. Write it as the mail server names it, such as s1.")
        sender = _find_sender(options["sender"])
        if options["round_trip"]:
            self._send(sender, seconds=options["wait"], is_silent=options["json"])
        check = check_sender(sender, selector=selector)
        if options["json"]:
            self.stdout.write(json.dumps(_describe(sender, check), ensure_ascii=False))
        else:
            self._show(check)
        if check.light is Light.RED:
            raise SystemExit(1)
        if check.light is Light.GREY:
            raise CommandError("Nothing could be checked. Look at the name servers, or set DNS_SERVERS.")
        if options["round_trip"] and not check.arrived:
            raise CommandError(check.waits or "The round trip has not arrived.")

    def _send(self, sender: Sender, *, seconds: int, is_silent: bool) -> None:
        if why := why_not():
            raise CommandError(why)
        try:
            trip = start_round_trip(sender, user=None)
        except (ListRefused, JobRefused) as exc:
            raise CommandError(str(exc)) from exc
        if not is_silent:
            self.stdout.write(
                f"A message from {sender.mailbox.address} to the return mailbox is on its way. This waits until it has "
                f"arrived, {seconds:,} s at most. Ctrl+C ends it."
            )
            self.stdout.flush()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not _has_arrived(trip):
            time.sleep(POLL_SECONDS)

    def _show(self, check: SenderCheck) -> None:
        for item in check.items:
            self._show_item(item)
        if check.waits:
            self.stdout.write(check.waits)
        elif not check.arrived:
            self.stdout.write("How its mail arrives is not known. Add --round-trip to send a message that shows it.")

    def _show_item(self, item: CheckItem) -> None:
        margin = " " * (COLUMN_CHARS + 2)
        self.stdout.write(f"{MARKS[item.light]:<{COLUMN_CHARS}}  {item.title}: {item.sentence}")
        for line in filter(None, (item.advice, item.record)):
            self.stdout.write(f"{margin}{line}")


def _find_sender(named: str) -> Sender:
    try:
        return choose_sender(named, template=None, user=None)
    except SenderRefused as exc:
        raise CommandError(str(exc)) from exc


def _has_arrived(trip: RoundTrip) -> bool:
    return RoundTrip.objects.filter(pk=trip.pk, arrived_at__isnull=False).exists()


def _describe(sender: Sender, check: SenderCheck) -> dict[str, Any]:
    return {
        "sender": sender.key,
        "light": check.light.colour,
        "waits": check.waits,
        "items": [
            {
                "title": item.title,
                "light": item.light.colour,
                "sentence": item.sentence,
                "advice": item.advice,
                "record": item.record,
                "found": item.found,
            }
            for item in check.items
        ],
    }
