"""Run the local stack until Ctrl-C: PostgreSQL, Valkey, the inbox, the web page and workers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

PORT_MAX = 65535


def find_listener(returns_url: str) -> tuple[str, int] | None:
    """Return where RETURNS_URL, which the checks have accepted, lets us listen. None: nowhere, or at any free port."""
    parts = urlsplit(returns_url)
    is_known = parts.scheme in ("lmtp", "smtp") and parts.hostname and parts.port
    return (parts.hostname or "", parts.port or 0) if is_known else None


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, a mail inbox, the web page and workers. Ctrl-C stops them all."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port of the web page on 127.0.0.1 (8000)")
        parser.add_argument("--workers", type=int, default=2, help="how many workers send mail (2)")

    def handle(self, *args: Any, port: int, workers: int, **options: Any) -> None:
        # Imported here, because a deployment has this command but not the packages of the local stack.
        try:
            from emailbatch.localstack.probes import NotReady
            from emailbatch.localstack.register import AlreadyRunning
            from emailbatch.localstack.services import FolderRefused
            from emailbatch.localstack.stack import Plan, PortTaken, run_stack
        except ModuleNotFoundError as exc:
            raise CommandError(f"The package {exc.name} of the local stack is missing. Run make up.") from exc
        self.check()  # after the imports above, so that a missing package is named first
        if workers < 0:
            raise CommandError("The number of workers cannot be negative.")
        if not 0 <= port <= PORT_MAX:
            raise CommandError(
                f"{port} is not a port. Choose a number from 1 to {PORT_MAX}, as in make up PORT=8000, "
                "or 0 for any free port."
            )
        plan = Plan(
            data_dir=settings.DATA_DIR,
            project_dir=settings.BASE_DIR,
            port=port,
            worker_count=workers,
            has_database=settings.IS_LOCAL_DATABASE,
            has_redis=settings.IS_LOCAL_REDIS,
            has_inbox=settings.IS_LOCAL_INBOX,
            has_returns=bool(settings.RETURNS_URL),
            returns_listener=find_listener(settings.RETURNS_URL),
            stop_grace_seconds=settings.STOP_GRACE_SECONDS,
        )
        try:
            run_stack(plan)
        except (AlreadyRunning, FolderRefused, LookupError, NotReady, PortTaken) as exc:
            raise CommandError(str(exc)) from exc
