"""``manage.py readreturns``: take in what comes back, through the door that RETURNS_URL names, until it is stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from batches.management.command import ActingCommand
from batches.returns.doors.address import ListenerAddress, MailboxAddress, ReturnsUrlError, parse_returns_url
from batches.returns.doors.imap import MailboxError
from batches.returns.doors.lmtp import Listener
from batches.returns.doors.mailbox_reader import MailboxReader, make_token_source


class Command(ActingCommand):
    help = "Read the return mailbox, or listen for returns by LMTP, as RETURNS_URL says. SIGTERM or Ctrl-C stops it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="read the mailbox once, and end")
        parser.add_argument("--json", action="store_true", help="with --once: print the counts as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.RETURNS_URL:
            raise CommandError("RETURNS_URL is not set, so nothing is read. docs/returns.md says how to set it.")
        try:
            address = parse_returns_url(settings.RETURNS_URL)
            if isinstance(address, MailboxAddress):
                self._read(address, is_once=options["once"], has_json=options["json"])
                return
        except (ReturnsUrlError, MailboxError) as exc:
            raise CommandError(str(exc)) from None
        if options["once"]:
            raise CommandError("--once reads a mailbox, but RETURNS_URL says to listen. Leave --once out.")
        self._listen(address)

    def _read(self, address: MailboxAddress, *, is_once: bool, has_json: bool) -> None:
        stop = _stopped_by_signals()
        find_token = make_token_source(address, settings.RETURNS_OAUTH)
        reader = MailboxReader(address, stop=stop, find_token=find_token)
        if not is_once:
            reader.run()
            return
        counts = reader.read_once()
        if counts is None:
            raise CommandError("Another process reads the return mailbox. Stop it first, or leave the mailbox to it.")
        if has_json:
            self.stdout.write(json.dumps({"understood": counts[True], "notUnderstood": counts[False]}))
        else:
            self.stdout.write(f"Understood {counts[True]:,} messages; {counts[False]:,} were not understood.")

    def _listen(self, address: ListenerAddress) -> None:
        try:
            asyncio.run(self._listen_until_stopped(address))
        except OSError as exc:
            raise CommandError(
                f"RETURNS_URL can't be listened on at {address} ({exc.strerror}). Stop the program that uses the port, "
                "or choose another one."
            ) from exc

    async def _listen_until_stopped(self, address: ListenerAddress) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        listener = Listener(address)
        port = await listener.start()
        self.stdout.write(f"Taking in returns at {address.scheme}://{address.host}:{port}")
        self.stdout.flush()
        await stop.wait()
        await listener.stop()


def _stopped_by_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set. A chunk that is being recorded is finished and moved first."""
    stop = threading.Event()

    def set_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, set_stop)
    return stop
