"""A real Exim with its default limits, which knows three in ten users not: it refuses them, or closes at each of them.

Its spool is the witness: it keeps every message that it accepted, and delivers none.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.acceptance import exim
from tests.chaos.judgement import Bounds
from tests.chaos.trial import Fault, Trial
from tests.smtpserver import Accepted

MESSAGE_ID = re.compile(rb"^\d{3}I Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)

UNKNOWN_USERS = "  {verb} message = no such user here\n    local_parts = ^unknown"


def run_exim(verb: str, trial: Trial) -> None:
    """Start Exim as the relay of the trial. ``verb`` is what its access list does with an unknown user."""
    relay = trial.stack.exits.enter_context(exim.Exim(at_rcpt=UNKNOWN_USERS.format(verb=verb)))
    trial.stack.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{relay.port}"
    trial.witness = lambda: read_spool(relay.folder / "spool" / "input")
    trial.relay_log = lambda: relay.log


def read_spool(folder: Path) -> list[Accepted]:
    """Return the messages of a spool. Exim's documentation, chapter 56, describes its two files of each message."""
    return [_read_message(path) for path in folder.glob("**/*-H")]


def _read_message(path: Path) -> Accepted:
    head = path.read_bytes()
    envelope, _, headers = head.partition(b"\n\n")
    body = path.with_name(f"{path.name.removesuffix('-H')}-D").read_bytes().partition(b"\n")[2]
    lines = envelope.splitlines()
    found = MESSAGE_ID.search(headers)
    return Accepted(
        recipient=lines[-1].decode(),
        sender=lines[2].decode().strip("<>"),
        message_id=found[1].decode() if found else "",
        sha256="",
        size=len(body),
        at=float(lines[3].split()[0]),
        connection=0,
        raw=headers + body,
    )


def send_all(trial: Trial) -> None:
    """Load the batch. The unknown users are the fault."""
    trial.load()


def check_default_limits(trial: Trial) -> None:
    """Check that Exim closed no connection for too many commands, and that it did refuse users."""
    log = trial.relay_log()
    trial.notes["refused"] = refused = log.count("no such user here")
    if not refused:
        trial.note_broken("Exim refused nobody")
    for words in ("too many nonmail commands", "protocol error", "too many syntax or protocol errors"):
        if words in log:
            trial.note_broken(f"Exim said: {words}")


def name_recipient(number: int) -> str:
    return f"{'unknown' if is_unknown(number) else 'r'}{number:06d}@example.org"


def is_unknown(number: int) -> bool:
    return number * 7 % 10 < 3


def all_unknown_fail(trial: Trial) -> Bounds:
    return Bounds(failed=sum(map(is_unknown, range(len(trial.addresses)))), failed_exactly=True)


def exim_fault(name: str, title: str, *, verb: str, policy: str) -> Fault:
    return Fault(
        name=name,
        title=title,
        prepare=lambda trial: run_exim(verb, trial),
        inject=send_all,
        is_from_start=True,
        workers=2,
        address=name_recipient,
        bounds=all_unknown_fail,
        check=check_default_limits,
        environment={"SEND_ON_CRASH": policy},
        unavailable=exim.missing,
    )


FAULTS = (
    exim_fault("exim-default", "Exim refuses three in ten users", verb="deny", policy="resend"),
    exim_fault("exim-drop-hold", "Exim closes at three in ten users, hold", verb="drop", policy="hold"),
)
