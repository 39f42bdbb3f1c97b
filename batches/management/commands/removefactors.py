"""``manage.py removefactors USER``: remove the second factors of a user who has lost them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from batches.factors import remove_factors
from batches.management.command import ActingCommand


class Command(ActingCommand):
    help = (
        "Remove the authenticator app, the passkeys and the recovery codes of a user who has lost them. The password "
        "stays. First make sure that the request comes from this user."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="The user's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'. See the users at /admin/auth/user/.")
        count = remove_factors(user)
        if not count:
            self.stdout.write(f"{user.username} has no second factor. Nothing was removed.")
            return
        self.stdout.write(
            f"{count} factors of {user.username} are removed. The user can add new ones after signing in."
        )
