"""The commands sendbatch, replaybatch, sweep and createapitoken."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, connections

from batches.jobs import lifecycle
from batches.jobs.sweep import ADVISORY_LOCK
from batches.models import (
    ApiToken,
    Approval,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
)
from tests.conftest import MakeUser


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("name,email\nAda,ada@example.org\nBob,nobody\nCyd,cyd@example.org\n")
    return path


@pytest.fixture
def plain(db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(key="plain", name="Plain", subject="News", text="Hello {{ Kind }}")


def run(*argv: str) -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command(*argv, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


def test_file_is_queued_when_a_batch_is_sent(people: Path, sender: User, welcome: EmailTemplate) -> None:
    stdout, stderr = run(
        "sendbatch",
        str(people),
        "--template",
        "welcome_email",
        "--subject",
        "Mine",
        "--user",
        "sender",
        "--name",
        "May",
    )
    job = EmailJob.objects.get()
    assert (job.total_count, job.subject, job.batch.created_by, job.batch.filename) == (2, "Mine", sender, "people.csv")
    assert job.batch.name == "May"
    assert f"Batch {job.batch_id}" in stdout and "2 emails are queued" in stdout
    assert "1 bad and 0 duplicate rows were rejected" in stderr and "No worker is running" in stderr


PARENTS = (
    "Kind,E-Mail Mutter,E-Mail Vater\n"
    'Mia,eva@example.org,bo@example.org\nTom,eva@example.org,\nUli,"cy@example.org; di@example.org",\n'
)


def test_choice_is_named_when_the_file_left_one(tmp_path: Path, plain: EmailTemplate) -> None:
    path = tmp_path / "parents.csv"
    path.write_text(PARENTS)
    _, stderr = run("sendbatch", str(path), "--template", plain.key)
    assert "The mail goes to 'E-Mail Mutter' of 2 columns with addresses." in stderr
    assert "Cells with several addresses were rejected: 1." in stderr
    assert [email.address for email in Email.objects.all()] == ["eva@example.org"]


def test_file_is_read_as_the_options_say(tmp_path: Path, plain: EmailTemplate) -> None:
    path = tmp_path / "parents.csv"
    path.write_text(PARENTS)
    options = ["--address-column", "1", "--address-column", "2", "--split-cells", "--shared-addresses", "each"]
    _, stderr = run("sendbatch", str(path), "--template", plain.key, *options)
    sent = sorted(Email.objects.values_list("address", flat=True))
    assert [address[:2] for address in sent] == ["bo", "cy", "di", "ev", "ev"]
    assert "rejected" not in stderr


@pytest.mark.parametrize(("option", "value"), [("--address-column", "7"), ("--address-column", "-1"), ("--sheet", "B")])
def test_option_that_the_file_lacks_is_refused(tmp_path: Path, plain: EmailTemplate, option: str, value: str) -> None:
    path = tmp_path / "parents.csv"
    path.write_text(PARENTS)
    with pytest.raises(CommandError, match=r"column|sheet"):
        run("sendbatch", str(path), "--template", plain.key, option, value)
    assert not Batch.objects.exists()


def test_one_json_object_is_printed_when_the_option_is_json(people: Path, welcome: EmailTemplate) -> None:
    stdout, _ = run("sendbatch", str(people), "--template", "welcome_email", "--json")
    answer = json.loads(stdout)
    assert stdout.count("\n") == 1
    assert (answer["totalCount"], answer["rejectedRows"], answer["status"]) == (2, 1, "QUEUED")
    assert answer["jobId"] == EmailJob.objects.get().pk


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/nowhere/people.csv", "--template", "welcome_email"], "can't be read"),
        (["/", "--template", "welcome_email"], "can't be read"),
        (["PEOPLE", "--template", "welcom"], "The templates are: welcome_email"),
        (["PEOPLE", "--template", "welcome_email", "--user", "nobody"], "no user 'nobody'"),
        (["PEOPLE", "--template", "welcome_email", "--subject", "{{"], "subject"),
        (["/dev/null", "--template", "welcome_email"], "The file is empty"),
    ],
)
def test_nothing_is_kept_when_the_command_is_wrong(
    people: Path, welcome: EmailTemplate, argv: list[str], said: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        run("sendbatch", *(str(people) if word == "PEOPLE" else word for word in argv))
    assert said in str(refusal.value) and str(refusal.value).endswith(".")
    assert not Batch.objects.exists()


def test_draft_is_named_when_the_list_lacks_a_merge_field(tmp_path: Path, welcome: EmailTemplate) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("email\nada@example.org\n")
    with pytest.raises(CommandError, match="kept as batch"):
        run("sendbatch", str(path), "--template", "welcome_email")
    assert Batch.objects.get().status == BatchStatus.DRAFT


def end_job(statuses: dict[str, EmailStatus]) -> threading.Thread:
    """Play the worker: as soon as there is a job, give each address its status and finish the job."""

    def work() -> None:
        try:
            seen = threading.Event()
            while not (job := EmailJob.objects.filter(completed_at=None).first()):
                seen.wait(0.02)
            for address, status in statuses.items():
                Email.objects.filter(address=address).update(status=status, lane=job.lanes.first())
            lifecycle.finish_job(job.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_command_succeeds_when_it_waited_and_all_emails_are_sent(people: Path, welcome: EmailTemplate) -> None:
    worker = end_job({"ada@example.org": EmailStatus.SENT, "cyd@example.org": EmailStatus.SENT})
    stdout, _ = run("sendbatch", str(people), "--template", "welcome_email", "--wait", "--json")
    worker.join(10)
    answer = json.loads(stdout)
    assert (answer["status"], answer["sentCount"], answer["failedCount"]) == (JobStatus.COMPLETED.upper(), 2, 0)


@pytest.mark.django_db(transaction=True)
def test_command_fails_when_it_waited_and_an_email_failed(people: Path, welcome: EmailTemplate) -> None:
    worker = end_job({"ada@example.org": EmailStatus.SENT, "cyd@example.org": EmailStatus.FAILED})
    with pytest.raises(CommandError, match=r"Only 1 of 2 emails"):
        run("sendbatch", str(people), "--template", "welcome_email", "--wait")
    worker.join(10)

    worker = end_job({"cyd@example.org": EmailStatus.SENT})
    stdout, _ = run("replaybatch", str(Batch.objects.get().pk), "--wait")
    worker.join(10)
    assert "1 of 1 emails sent" in stdout
    assert EmailJob.objects.order_by("-pk")[0].kind == JobKind.FAILED


def test_counts_are_those_of_the_job_when_a_replay_has_just_begun(people: Path, welcome: EmailTemplate) -> None:
    run("sendbatch", str(people), "--template", "welcome_email")
    job = EmailJob.objects.get()
    Email.objects.update(lane=job.lanes.get(number=0), status=EmailStatus.SENT)
    Email.objects.filter(address="cyd@example.org").update(status=EmailStatus.FAILED)
    lifecycle.finish_job(job.pk)
    answer = json.loads(run("replaybatch", str(job.batch_id), "--json")[0])
    assert (answer["totalCount"], answer["sentCount"], answer["failedCount"]) == (1, 0, 0)


def test_replay_is_refused_when_there_is_nothing_to_replay(people: Path, welcome: EmailTemplate) -> None:
    with pytest.raises(CommandError, match="no batch 999"):
        run("replaybatch", "999")
    run("sendbatch", str(people), "--template", "welcome_email")
    with pytest.raises(CommandError, match="being sent"):
        run("replaybatch", str(Batch.objects.get().pk), "--all")


def test_counts_are_printed_when_a_sweep_was_made(db: None) -> None:
    stdout, _ = run("sweep")
    assert "Started 0 scheduled jobs" in stdout


@pytest.mark.django_db(transaction=True)
def test_sweep_waits_when_another_process_sweeps() -> None:
    locked, release = threading.Event(), threading.Event()

    def hold_lock() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
                locked.set()
                release.wait(5)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold_lock)
    holder.start()
    assert locked.wait(5)
    threading.Timer(0.2, release.set).start()
    stdout, _ = run("sweep")
    holder.join(10)
    assert "Started" in stdout


def test_token_alone_is_printed_when_one_is_made(sender: User) -> None:
    stdout, stderr = run("createapitoken", "sender")
    assert stderr == ""
    assert ApiToken.objects.find_user(stdout.strip()) == sender
    assert stdout == stdout.strip() + "\n"


def test_no_token_is_made_when_the_user_is_unknown_or_locked(sender: User) -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        run("createapitoken", "nobody")
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="not active"):
        run("createapitoken", "sender")
    assert not ApiToken.objects.exists()


def test_command_sends_nothing_above_the_limit_unless_it_names_an_approver(
    people: Path, welcome: EmailTemplate, sender: User, make_user: MakeUser, settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 1
    make_user("approver", "Approvers")
    arguments = ("sendbatch", str(people), "--template", "welcome_email")
    with pytest.raises(CommandError, match=r"need the approval of a second person.*--approved-by"):
        run(*arguments)
    with pytest.raises(CommandError, match="An approver finds it at /approvals/"):
        run(*arguments, "--user", "sender")
    assert Approval.objects.get().asked_by == sender
    for name, reason in (("sender", "You may not approve"), ("nobody", "There is no user")):
        with pytest.raises(CommandError, match=reason):
            run(*arguments, "--approved-by", name)
    assert not EmailJob.objects.exists()
    run(*arguments, "--user", "sender", "--approved-by", "approver")
    job = EmailJob.objects.get()
    approval = job.batch.approvals.get()
    assert (approval.status, approval.decided_by and approval.decided_by.username) == ("approved", "approver")

    job.batch.emails.update(status=EmailStatus.FAILED)
    lifecycle.finish_job(job.pk)
    with pytest.raises(CommandError, match="--approved-by"):
        run("replaybatch", str(job.batch_id))
    run("replaybatch", str(job.batch_id), "--approved-by", "approver")
    assert EmailJob.objects.count() == 2
