"""``manage.py createapitoken USER``: make an API token, and print nothing else on standard output."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from batches.credentials import TOKEN_DAYS, TOKEN_MAX_DAYS, make_token
from batches.management.command import ActingCommand
from batches.models import TokenScope


class Command(ActingCommand):
    help = (
        "Make an API token, with which a program acts as a user. It is shown once: only its digest is stored. It ends "
        "when it expires, when the user's password changes, while the user is not active, and when it is revoked, at "
        "/accounts/tokens/ or in the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="The user's name.")
        parser.add_argument("--name", default="", metavar="N", help="What the token is for. The audit shows this name.")
        parser.add_argument(
            "--scopes",
            default=",".join(TokenScope.values),
            metavar="S",
            help=f"What it may do, of what the user may do: some of {', '.join(TokenScope.values)}, separated by "
            "commas. Left out: all.",
        )
        parser.add_argument(
            "--days",
            type=int,
            default=TOKEN_DAYS,
            metavar="D",
            help=f"How long it holds: {TOKEN_DAYS} days if left out, {TOKEN_MAX_DAYS} at most. 0: without an end.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'. See the users at /admin/auth/user/.")
        if not user.is_active:
            raise CommandError(f"The user '{user.username}' is not active. Activate the user first.")
        name, days = options["name"].strip(), options["days"]
        if len(name) > 100 or not name.isprintable():
            raise CommandError("The name has 100 characters at most, and only such that can be printed. Shorten it.")
        if not 0 <= days <= TOKEN_MAX_DAYS:
            raise CommandError(f"--days is a number from 1 to {TOKEN_MAX_DAYS}, or 0 for a token without an end.")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        self.stdout.write(make_token(user, name=name, scopes=read_scopes(options["scopes"]), expires_at=expires_at))


def read_scopes(text: str) -> list[TokenScope]:
    """Read scopes that are separated by commas.

    Raises:
        CommandError: One of them does not exist, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in TokenScope.values]
    if unknown or not names:
        said = f"There is no scope '{unknown[0]}'." if unknown else "A token without a scope may do nothing."
        raise CommandError(f"{said} Name some of {', '.join(TokenScope.values)}, separated by commas.")
    return [scope for scope in TokenScope if scope.value in names]
