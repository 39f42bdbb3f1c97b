"""``manage.py suppress ADDRESS``: put an address, or a file of addresses, on the suppression list, or take one off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from batches import do_not_send
from batches.do_not_send import Entry, FileImported, SuppressionRefused
from batches.files.errors import ListRefused
from batches.management.command import ActingCommand
from batches.models import SuppressionReason


class Command(ActingCommand):
    help = "Put an address on the do-not-send list. Exit status 0 only when it is there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS", nargs="?")
        parser.add_argument("--import", dest="file", type=Path, metavar="FILE", help="A file of addresses.")
        parser.add_argument("--topic", metavar="KEY", help="Only mail of this topic. Left out: all mail.")
        reasons = [str(reason) for reason in do_not_send.REASONS]
        parser.add_argument("--reason", choices=reasons, help="Left out: manual, and imported for a file.")
        parser.add_argument("--until", metavar="DAY", help="Until when, such as 2027-03-31. Left out: for ever.")
        parser.add_argument("--source", default="", help="Where it comes from, without the address.")
        parser.add_argument("--lift", action="store_true", help="Take the address off the list instead.")

    def handle(self, *args: Any, **options: Any) -> None:
        address, file = options["address"], options["file"]
        if (address is None) == (file is None):
            raise CommandError("Name an address, or a file with --import, and not both.")
        try:
            if options["lift"]:
                self._lift(address, options)
            elif file is not None:
                self._import(file, _make_entry(options, SuppressionReason.IMPORTED))
            else:
                self._add(address, _make_entry(options, SuppressionReason.MANUAL))
        except (SuppressionRefused, ListRefused) as exc:
            raise CommandError(str(exc)) from exc

    def _add(self, address: str, entry: Entry) -> None:
        added = do_not_send.add_addresses([address], entry)
        what = f"mail of the topic {entry.topic.key}" if entry.topic is not None else "mail"
        self.stdout.write(f"The address gets no {what} from here." if added else "It was on the list already.")

    def _lift(self, address: str | None, options: dict[str, Any]) -> None:
        if address is None:
            raise CommandError("Only one address at a time can be taken off. Name it instead of a file.")
        topic = do_not_send.find_topic(options["topic"]) if options["topic"] else None
        reason = SuppressionReason(options["reason"]) if options["reason"] else None
        if reason is None and topic is not None:  # a program that names a topic means it; a person may not
            do_not_send.refuse_objection(do_not_send.find_rows(address).filter(topic=topic))
        lifted = do_not_send.lift_address(address, topic=topic, reason=reason, is_topic_only=topic is not None)
        self.stdout.write("The address is off the list." if lifted else "It was not on the list.")

    def _import(self, file: Path, entry: Entry) -> None:
        try:
            with file.open("rb") as stream:
                imported = do_not_send.import_file(stream, entry, filename=file.name)
        except OSError as exc:
            raise CommandError(f"{file} can't be read: {exc.strerror}. Name another file.") from exc
        self._report(imported)

    def _report(self, imported: FileImported) -> None:
        for line, sentence in imported.faults:
            self.stderr.write(f"Line {line}: {sentence}")
        more = imported.fault_count - len(imported.faults)
        if more:
            self.stderr.write(f"Further lines that could not be used: {more:,}.")
        known = imported.address_count - imported.added_count
        self.stdout.write(f"Added: {imported.added_count:,}. On the list already, or used twice: {known:,}.")
        if imported.fault_count:
            raise CommandError(
                f"Lines that could not be used: {imported.fault_count:,}. Correct them, and import them again."
            )


def _make_entry(options: dict[str, Any], reason: SuppressionReason) -> Entry:
    return Entry(
        reason=SuppressionReason(options["reason"]) if options["reason"] else reason,
        topic=do_not_send.find_topic(options["topic"]) if options["topic"] else None,
        source=options["source"][: do_not_send.SOURCE_MAX_CHARS] or ("" if options["file"] else "command"),
        ends_at=do_not_send.read_end(options["until"]) if options["until"] else None,
    )
