"""What a database needs before the first visitor: its tables, the application's first records, and an account.

Each step is safe to run again: it creates what is missing and leaves the rest alone. The application's own steps come
from ``settings.FIRST_START_STEPS``, so that the local stack imports nothing of the application.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import psycopg
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction
from django.utils.module_loading import import_string

from emailbatch.environment import Environment
from emailbatch.localstack import addresses


def create_database(data_dir: Path) -> None:
    """Create the embedded server's database if it does not exist."""
    folder = str(addresses.database_socket_dir(data_dir))
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        name = addresses.DATABASE_NAME
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


def fill_database() -> str:
    """Migrate, run the application's first steps and create the first account; return how to sign in."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        for path in settings.FIRST_START_STEPS:
            import_string(path)()
        return create_first_account()
    finally:
        connections.close_all()


def create_first_account() -> str:
    """Create an administrator if there is none; return a phrase that says how to sign in."""
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    given = Environment().secret("DJANGO_SUPERUSER_PASSWORD")
    with transaction.atomic():
        if User.objects.filter(username=name).exists():
            return f"sign in as {name}"
        if User.objects.filter(is_superuser=True, is_active=True).exists():
            return "sign in with your account"
        password = given or secrets.token_urlsafe(9)
        User.objects.create_superuser(name, email=f"{name}@localhost", password=password)
    if given:
        return f"sign in as {name} with the password from DJANGO_SUPERUSER_PASSWORD"
    return f"sign in as {name} with password {password} (shown only this once)"
