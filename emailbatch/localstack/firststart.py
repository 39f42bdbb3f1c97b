"""What a database needs before the first visitor: its tables, an account to sign in with, a template to send.

Each step is safe to run again: it makes what is missing and leaves alone what is there.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import psycopg
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction

from batches.models import EmailTemplate
from emailbatch.localstack import addresses

WELCOME_FOLDER = Path(__file__).parent / "welcome"
WELCOME_KEY = "welcome_email"


def create_database(data_dir: Path) -> None:
    """Make the embedded server's database if there is none."""
    folder = str(addresses.socket_dir(data_dir))
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        name = addresses.DATABASE_NAME
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


def fill_database() -> str:
    """Bring the tables up to date, make the first account and the sample template; return how to sign in."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        create_welcome_template()
        return create_first_account()
    finally:
        connections.close_all()


def create_first_account() -> str:
    """Make the first administrator if there is no account at all; return a phrase that says how to sign in."""
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    given = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
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


def create_welcome_template() -> None:
    """Make the sample template if there is none of its key, and the default if no other is."""
    if EmailTemplate.objects.filter(key=WELCOME_KEY).exists():
        return
    EmailTemplate.objects.create(
        key=WELCOME_KEY,
        name="Welcome e-mail",
        subject=(WELCOME_FOLDER / "subject.txt").read_text().strip(),
        html=(WELCOME_FOLDER / "body.html").read_text(),
        text=(WELCOME_FOLDER / "body.txt").read_text(),
        is_default=not EmailTemplate.objects.filter(is_default=True).exists(),
    )
