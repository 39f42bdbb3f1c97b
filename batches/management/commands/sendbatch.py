"""``manage.py sendbatch FILE --template KEY``: import a file of recipients and send it.

A file of recipients and a template's key enter. A job leaves, and on standard output a sentence or JSON about it.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from batches import intake
from batches.jobs import creation, lifecycle
from batches.jobs.senders import SenderRefused, choose_sender
from batches.jobs.topics import TopicRefused, choose_topic
from batches.jobs.user_limits import LimitReached, refuse_used_up
from batches.management import reading, waiting
from batches.management.command import ActingCommand
from batches.management.terminal import without_style
from batches.models import Batch, EmailJob, EmailTemplate, SharedAddresses, TemplateNotFound
from batches.permissions import NotPermitted, Permission, require
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault


class Command(ActingCommand):
    help = "Import a file of recipients and send it. Exit status 0: it is queued, or with --wait, all emails are sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="The file of recipients. - means standard input.")
        parser.add_argument("--template", required=True, metavar="KEY", help="The template's key.")
        parser.add_argument("--subject", metavar="S", help="Replaces the template's subject.")
        parser.add_argument(
            "--sender", metavar="S", help="The sender's key or address. Left out: the template's, or the default one."
        )
        parser.add_argument(
            "--topic", metavar="KEY", help="The topic's key, such as news or service. Left out: the template's."
        )
        parser.add_argument(
            "--name", default="", metavar="N", help="What the pages call it. Left out: the file's name."
        )
        parser.add_argument(
            "--user", metavar="U", help="The owner, who must be allowed to send. Left out: the batch belongs to nobody."
        )
        waiting.add_approver(parser)
        waiting.add_arguments(parser)
        reading.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"]) if options["user"] else None
        refuse_without_right(user)
        approver = waiting.find_approver(options["approved_by"])
        template = find_template(options["template"], subject=options["subject"], topic=options["topic"])
        check_sender(options["sender"], template=template, user=user)
        batch = import_file(
            options["file"],
            user=user,
            choices=reading.read_options(options),
            shared=SharedAddresses(options["shared_addresses"]),
            label=intake.Label(name=options["name"]),
        )
        if said := reading.say_reading(batch):
            self.stderr.write(f"{said} The options of --help choose otherwise.", without_style)
        if batch.rejected_count or batch.duplicate_count:
            self.stderr.write(
                f"{batch.rejected_count:,} bad and {batch.duplicate_count:,} duplicate rows were rejected. "
                f"See them at /batches/{batch.pk}/?status=rejected.",
                without_style,
            )
        job = start(
            batch,
            template=template,
            subject=options["subject"],
            user=user,
            sender=options["sender"],
            topic=options["topic"],
            approved_by=approver,
        )
        waiting.report(job, wait=options["wait"], as_json=options["json"], stdout=self.stdout, stderr=self.stderr)


def find_user(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user '{username}'. See the users at /admin/auth/user/.")
    return user


def refuse_without_right(user: User | None) -> None:
    """Refuse a user who may not send, or who has used up a limit, before the file is read."""
    try:
        require(user, Permission.SEND_BATCH)
        refuse_used_up(user)
    except (NotPermitted, LimitReached) as exc:
        raise CommandError(str(exc)) from exc


def find_template(key: str, *, subject: str | None, topic: str | None) -> EmailTemplate:
    """Find the template, and refuse a faulty one before the file is read, and one that does not fit the topic."""
    try:
        template = EmailTemplate.objects.find_named(key)
        about = choose_topic(topic, template=template)
        children.analyse_sound(MessageParts.of(template, subject, about and about.message_topic))
    except (TemplateNotFound, TemplateFault, TopicRefused) as exc:
        raise CommandError(str(exc)) from exc
    return template


def check_sender(named: str | None, *, template: EmailTemplate, user: User | None) -> None:
    """Refuse a sender that the user may not use before the file is read. Without a user, every sender may be used."""
    try:
        choose_sender(named, template=template, user=user)
    except SenderRefused as exc:
        raise CommandError(str(exc)) from exc


def import_file(
    name: str, *, user: User | None, choices: intake.ReadingOptions, shared: SharedAddresses, label: intake.Label
) -> Batch:
    filename = "standard input" if name == "-" else name
    try:
        with open_file(name) as file:
            imported = intake.import_csv(
                file, filename=filename, user=user, options=choices, shared=shared, label=label
            )
            return imported.batch
    except OSError as exc:
        fault = exc.strerror or exc
        raise CommandError(f"The file {name} can't be read: {fault}. Check its path and permissions.") from exc
    except intake.ListRefused as exc:
        raise CommandError(exc.message) from exc


def open_file(name: str) -> Any:
    """A context manager with the open file. Standard input stays open."""
    stdin: BinaryIO = sys.stdin.buffer
    return nullcontext(stdin) if name == "-" else Path(name).open("rb")


def start(batch: Batch, **options: Any) -> EmailJob:
    """Send the batch. The options are those of ``creation.send_once``."""
    try:
        return creation.send_once(batch, **options)
    except creation.ApprovalAsked as exc:
        raise CommandError(f"{exc} An approver finds it at /approvals/.") from exc
    except (lifecycle.JobRefused, NotPermitted) as exc:
        raise CommandError(f"{exc} The list is kept as batch {batch.pk}, which is a draft.") from exc
