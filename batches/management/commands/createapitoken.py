"""``manage.py createapitoken USER``: make an API token, and print nothing else on standard output."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.models import ApiToken


class Command(BaseCommand):
    help = "Make an API token, with which a program acts as a user. It is shown once: only its digest is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="The user's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'. See the users at /admin/auth/user/.")
        if not user.is_active:
            raise CommandError(f"The user '{user.username}' is not active. Activate the user first.")
        self.stdout.write(ApiToken.objects.issue(user))
