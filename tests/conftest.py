"""Fixtures and factories that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.models import Permission as StoredPermission
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

from batches import redis_client
from batches.api.health import close_health
from batches.models import (
    Batch,
    BatchSource,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobStatus,
    RejectedRow,
    RejectionKind,
    Sender,
)
from batches.permissions import GROUPS, Permission
from tests import services

# Hypothesis fails an example that takes longer than 200 ms. On a busy machine that says nothing about the code.
hypothesis_settings.register_profile("no deadline", deadline=None)
hypothesis_settings.load_profile("no deadline")


LONG_MODULES = [
    f"tests/acceptance/test_{name}.py"
    for name in (
        "chaos",
        "relays",
        "up",
        "lists",
        "exim",
        "worker",
        "odd_relays",
        "quotas",
        "hostile_templates",
        "postfix",
    )
]
"""The modules of the acceptance tests that take minutes, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Check after each request of a test that the API's document describes the answer.

    Each test client would look for all static files. Those that are needed come from the server of a stack.
    """
    settings.MIDDLEWARE = ["tests.described.check_described", *settings.MIDDLEWARE]
    settings.SERVESTATIC_USE_FINDERS = settings.SERVESTATIC_USE_STATIC_ROOT = False


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ModuleScheduling(config, log)


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Let one process of ``make test`` run a whole module of the acceptance tests, which share its stack and browser.

    All other tests go one by one to the next process that is free, in the order of pytest-django: first those that roll
    back, then those that empty the tables. (``--dist loadgroup`` of pytest-xdist 3.8 does nothing with pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if is_acceptance(nodeid) else nodeid


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Put the longest modules before all other acceptance tests, so that no process waits for another at the end."""
    yield
    begin = next((index for index, item in enumerate(items) if is_acceptance(item.nodeid)), len(items))
    items[begin:] = sorted(items[begin:], key=lambda item: find_place(item.nodeid.partition("::")[0]))


def find_place(module: str) -> int:
    """Return the place of a module among the long ones. All others come after them."""
    return LONG_MODULES.index(module) if module in LONG_MODULES else len(LONG_MODULES)


def is_acceptance(nodeid: str) -> bool:
    return nodeid.startswith("tests/acceptance/")


MakeBatch = Callable[..., Batch]
MakeJob = Callable[..., EmailJob]
MakeSender = Callable[..., Sender]
MakeUser = Callable[..., User]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the embedded PostgreSQL and Valkey of this test run."""
    return services.running.data_dir


@pytest.fixture(autouse=True)
def new_health() -> Iterator[None]:
    """Let no test get the answer of an earlier one's health check, nor the end of the run wait for its connection."""
    yield
    close_health()


@pytest.fixture(autouse=True)
def empty_redis(request: pytest.FixtureRequest) -> None:
    """Let nothing of an earlier test be in Redis. Its wrong tokens, for example, would be counted for this one too.

    The acceptance tests of a module share a stack, whose workers are registered in Redis. Unit tests use no Redis.
    """
    if request.node.nodeid.startswith("tests/integration/"):
        with redis_client.connect() as client:
            client.flushall()


def find_permission(permission: Permission) -> StoredPermission:
    """Find the row of a permission."""
    return StoredPermission.objects.get(content_type__app_label="batches", codename=permission.codename)


def join_groups(user: User, *names: str) -> User:
    """Put a user into groups of the migration. A test that empties the tables deletes them, so they are made again."""
    for name in names:
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([find_permission(permission) for permission in GROUPS[name]])
        user.groups.add(group)
    return User.objects.get(pk=user.pk)  # a user keeps the permissions that were read first


def permit(user: User, *permissions: Permission) -> User:
    """Give permissions to a user directly. Returns the user as the next request finds it."""
    user.user_permissions.add(*map(find_permission, permissions))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """Make a user in groups of the migration: ``make_user("ann", "Senders", "Approvers", is_staff=True)``."""

    def make(name: str, *groups: str, **columns: Any) -> User:
        return join_groups(User.objects.create_user(name, f"{name}@example.org", **columns), *groups)

    return make


@pytest.fixture
def sender(db: None) -> User:
    """An ordinary user, who may send."""
    return join_groups(User.objects.create_user("sender", "sender@example.org"), "Senders")


@pytest.fixture
def staff(db: None) -> User:
    """A user with every right in the admin."""
    return User.objects.create_superuser("staff", "staff@example.org")


@pytest.fixture
def welcome(db: None) -> EmailTemplate:
    """The default template. Its one merge field is ``name``."""
    return EmailTemplate.objects.create(
        key="welcome_email",
        name="Welcome",
        subject="Hello {{ name }}",
        html="<p>Dear {{ name }}</p>",
        text="Dear {{ name }}",
        is_default=True,
    )


@pytest.fixture
def make_batch(sender: User) -> MakeBatch:
    """Make a batch that the sender owns: ``make_batch(BatchStatus.COMPLETED, sent=3, failed=1)``.

    A count is a status in lower case and the number of emails with it.
    """

    def make(
        status: BatchStatus = BatchStatus.DRAFT, *, owner: User | None = sender, rejected: int = 0, **counts: int
    ) -> Batch:
        statuses = [EmailStatus(name) for name, count in counts.items() for _ in range(count)]
        terminal_counts = {
            f"{name}_count": count for name, count in counts.items() if name not in ("pending", "sending")
        }
        batch = Batch.objects.create(
            created_by=owner,
            filename="list.csv",
            source=BatchSource.UPLOAD,
            status=status,
            columns=["Name", "E-Mail"],
            address_index=1,
            merge_fields=["name"],
            total_count=len(statuses),
            rejected_count=rejected,
            **terminal_counts,
        )
        Email.objects.bulk_create(
            Email(batch=batch, row=row, address=f"person{row}@example.org", fields=[f"Person {row}"], status=status)
            for row, status in enumerate(statuses, start=2)
        )
        RejectedRow.objects.bulk_create(
            RejectedRow(
                batch=batch, line=9, kind=RejectionKind.INVALID, raw=["x", f"bad{number}"], reason="No @ in it."
            )
            for number in range(rejected)
        )
        return batch

    return make


@pytest.fixture
def make_sender(db: None) -> MakeSender:
    """Make a sender that the admin would accept: ``make_sender("office", users=(ann,))``."""

    def make(
        key: str,
        name: str = "",
        address: str = "",
        *,
        reply_to: str = "",
        users: tuple[User, ...] = (),
        groups: tuple[Group, ...] = (),
    ) -> Sender:
        made = Sender(key=key, display_name=name, address=address or f"{key}@example.org", reply_to=reply_to)
        made.full_clean()
        made.save()
        made.users.set(users)
        made.groups.set(groups)
        return made

    return make


@pytest.fixture
def make_job(welcome: EmailTemplate) -> MakeJob:
    """Make a job that sends a batch with the default template."""

    def make(batch: Batch, status: JobStatus, **columns: object) -> EmailJob:
        return EmailJob.objects.create(
            batch=batch,
            status=status,
            template=welcome,
            template_key=welcome.key,
            subject=welcome.subject,
            html=welcome.html,
            text=welcome.text,
            from_email="from@example.org",
            total_count=batch.total_count,
            **columns,
        )

    return make
