"""``manage.py createapitoken USER``: make a token for the API; it alone goes to standard output."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.models import ApiToken


class Command(BaseCommand):
    help = "Make a token with which a program acts as a user. It is shown this once: only its digest is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="The user's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'. See the users at /admin/auth/user/.")
        if not user.is_active:
            raise CommandError(f"The user '{user.username}' is not active, so a token would open nothing.")
        self.stdout.write(ApiToken.objects.issue(user))
