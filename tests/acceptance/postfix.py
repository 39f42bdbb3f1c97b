"""A real Postfix for one test, apart from the system's: it has a private folder, listens on loopback and discards mail.

A copy of each message goes to a maildir. The maildir is the witness because it survives a kill. The log is not: its
last lines are lost with postlogd.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import threading
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Self

from tests.acceptance.mail_server import MailServer
from tests.chaos.stack import wait_until
from tests.smtpserver.certificate import write_certificate

COMMAND = "/usr/sbin/postfix"
MASTER_PROGRAM = "/usr/lib/postfix/sbin/master"
RECEIVED = re.compile(r"^\tby \S+ \(Postfix\) with \w+ id (\w+)\s+for <(.*)>;", re.MULTILINE)
HEADER_BYTES = 2000  # enough for the lines that Postfix writes before the message

MAIN = """
compatibility_level = 3.6
config_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.example.net
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
default_transport = discard
local_transport = discard
relay_transport = discard
always_bcc = copy@copies.example.net
virtual_mailbox_domains = copies.example.net
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:mail/
virtual_minimum_uid = 1
virtual_uid_maps = static:{mail_uid}
virtual_gid_maps = static:{mail_gid}
smtputf8_enable = yes
message_size_limit = {size}
smtpd_relay_restrictions = {allowed}, reject
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl_port}
smtpd_sasl_auth_enable = {auth}
smtpd_sasl_security_options = noanonymous
smtpd_tls_security_level = {tls}
smtpd_tls_chain_files = {certificate}
smtpd_tls_auth_only = {tls_only}
smtpd_client_connection_count_limit = 0
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str:
    """Say why Postfix cannot be started here; empty if it can."""
    if not Path(COMMAND).exists():
        return "Postfix is missing; it is Debian's package postfix."
    if os.getuid() != 0:
        return "Postfix's master needs root."
    with contextlib.suppress(KeyError):
        pwd.getpwnam("postfix")
        return ""
    return "The user postfix is missing; Debian's package postfix makes it."


class Accounts:
    """The part of Dovecot's authentication server that Postfix needs: PLAIN and LOGIN for one account."""

    def __init__(self, username: str, password: str) -> None:
        self.username, self.password = username, password
        self.logins: Counter[str] = Counter()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rw", newline="\n") as lines:
            lines.write("VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef\nDONE\n")
            lines.flush()
            for line in lines:
                command, *values = line.rstrip("\n").split("\t")
                if command == "AUTH":
                    lines.write(self._answer(values))
                    lines.flush()

    def _answer(self, values: list[str]) -> str:
        (response,) = [value.removeprefix("resp=") for value in values if value.startswith("resp=")]
        _, username, password = b64decode(response).decode().split("\0")
        is_right = (username, password) == (self.username, self.password)
        self.logins["accepted" if is_right else "refused"] += 1
        return f"OK\t{values[0]}\tuser={username}\n" if is_right else f"FAIL\t{values[0]}\tuser={username}\n"


class Delivery(NamedTuple):
    """One file of the maildir. After a kill, Postfix may deliver a message again, with the same queue id."""

    queue_id: str
    recipient: str

    @classmethod
    def read(cls, path: Path) -> Self:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES).decode(errors="replace")  # the cut may be inside a character
        received = RECEIVED.search(head)
        assert received, head
        return cls(*received.groups())


class PostfixServer(MailServer):
    """A Postfix whose configuration is in ``configuration``. A subclass writes it."""

    name = "Postfix"

    @property
    def configuration(self) -> Path:
        return self.folder / "etc"

    def start(self) -> None:
        self.order("check")  # this creates its folders
        self.run([MASTER_PROGRAM, "-s", "-c", str(self.configuration)])  # what start-fg runs

    def kill(self) -> None:
        """Kill -9 all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def reload(self) -> None:
        self.order("reload")

    def order(self, command: str) -> None:
        """Run one command of ``postfix``, such as reload.

        Its output goes to a file that anyone may open: maillog_file is /dev/stdout, and postsuper, as the user postfix,
        opens that again to warn about the remains of a kill. It could not open a pipe of root's.
        """
        argv = [COMMAND, "-c", str(self.configuration), command]
        with (self.folder / "orders").open("a+") as output:
            os.fchmod(output.fileno(), 0o666)
            done = subprocess.run(argv, stdout=output, stderr=output, timeout=20)
            output.seek(0)
            assert done.returncode == 0, output.read()

    @property
    def log(self) -> str:
        return self.output


class Postfix(PostfixServer):
    """Start it with ``with Postfix(...) as relay``. Its method ``accepted`` counts messages by recipient."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        has_tls: bool = False,
        needs_login: bool = False,
        size: int = 0,
        unknown_users: str = "",
    ) -> None:
        super().__init__()
        self.certificate = self.folder / "certificate.pem"
        write_certificate(self.certificate)
        self.deliveries: dict[str, Delivery] = {}
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        account, mail_account = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
        os.chown(self.folder / "data", account.pw_uid, account.pw_gid)
        os.chown(self.folder / "mail", mail_account.pw_uid, mail_account.pw_gid)
        (self.folder / "etc" / "main.cf").write_text(
            MAIN.format(
                folder=self.folder,
                certificate=self.certificate,
                mail_uid=mail_account.pw_uid,
                mail_gid=mail_account.pw_gid,
                sasl_port=accounts.port,
                auth="yes",
                allowed="permit_sasl_authenticated" if needs_login else "permit_mynetworks",
                tls="may" if has_tls else "none",
                tls_only="yes" if has_tls else "no",
                size=size,
            )
        )
        if unknown_users:  # a regular expression
            (self.folder / "etc" / "unknown").write_text(f"/{unknown_users}/ 550 5.1.1 User unknown\n")
            with (self.folder / "etc" / "main.cf").open("a") as file:
                file.write(f"smtpd_recipient_restrictions = check_recipient_access regexp:{self.folder}/etc/unknown\n")
        (self.folder / "etc" / "master.cf").write_text(MASTER.format(port=self.port))

    def accepted(self) -> Counter[str]:
        """Count the accepted messages by recipient. A message that Postfix delivered twice counts once."""
        for path in (self.folder / "mail" / "new").glob("*"):
            if path.name not in self.deliveries:
                self.deliveries[path.name] = Delivery.read(path)
        return Counter(delivery.recipient for delivery in set(self.deliveries.values()))

    def wait_for(self, recipients: set[str], *, seconds: float = 30) -> Counter[str]:
        """Wait until each of these recipients has a message. Return how many messages each has."""
        wait_until(
            lambda: recipients <= set(self.accepted()),
            seconds=seconds,
            what=f"{len(recipients)} in a maildir",
            every=0.2,
        )
        return Counter({address: count for address, count in self.accepted().items() if address in recipients})
