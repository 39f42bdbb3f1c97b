"""Run only the local SMTP inbox, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from emailbatch.localstack import addresses
from emailbatch.localstack.permissions import FolderRefused, make_private_folder


class Command(BaseCommand):
    help = "Accept every message on a local socket and keep it for the /inbox/ pages. Nothing is passed on."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help="listen on this port of 127.0.0.1 instead of the unix socket")

    def handle(self, *args: Any, port: int | None, **options: Any) -> None:
        try:
            from emailbatch.localstack.inbox_server import serve_inbox
        except ModuleNotFoundError as exc:
            raise CommandError(f"The package {exc.name} of the local stack is missing. Run make up.") from exc
        data_dir = settings.DATA_DIR
        data_dir.mkdir(parents=True, exist_ok=True)
        socket_path = None if port else addresses.inbox_socket(data_dir)
        try:
            make_private_folder(addresses.socket_dir(data_dir))
            asyncio.run(serve_inbox(store_path=addresses.inbox_file(data_dir), socket_path=socket_path, port=port))
        except FolderRefused as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"The inbox cannot listen or store: {exc}.") from exc
