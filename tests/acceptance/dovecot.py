"""A real Dovecot for one test, apart from the system's: mailboxes by IMAP, and an LMTP server that fills them.

It has a private folder and listens on loopback. Every user exists, with the same password. An address with a part
after ``+`` belongs to the user before it, and keeps its envelope recipient in the header Delivered-To.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import pwd
import re
import smtplib
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from tests.acceptance.mail_server import MailServer, free_port
from tests.smtpserver.certificate import write_certificate

COMMAND = "/usr/sbin/dovecot"
PASSWORD = "mail:box/secret"
LISTED = re.compile(rb'\([^)]*\) "[^"]+" "?([^"]+)"?')
"""A line of LIST: the flags, the separator and the name of a folder."""

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap lmtp
listen = 127.0.0.1
first_valid_uid = 1
default_internal_user = dovecot
default_login_user = dovenull
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_mechanisms = plain login{mechanisms}
mail_location = maildir:{folder}/mail/%n
mail_max_userip_connections = 1000
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
lda_mailbox_autocreate = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {secure_port}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  client_limit = 2000
}}
{options}
"""


def missing() -> str:
    """Say why Dovecot cannot be started here; empty if it can."""
    if not Path(COMMAND).exists() or not Path("/usr/lib/dovecot/lmtp").exists():
        return "Dovecot is missing; it is Debian's packages dovecot-imapd and dovecot-lmtpd."
    if os.getuid() != 0:
        return "Dovecot's master needs root."
    with contextlib.suppress(KeyError):
        pwd.getpwnam("dovecot")
        return ""
    return "The user dovecot is missing; Debian's package dovecot-core makes it."


class Dovecot(MailServer):
    """Start it with ``with Dovecot() as mailboxes``. ``port`` is that of IMAP in the clear.

    Args:
        prefix: what folders begin with, such as ``INBOX.``; some servers have all folders below the inbox.
        separator: between the parts of a folder's name.
        mechanisms: further SASL mechanisms, such as ``xoauth2``.
        options: further lines of its configuration.
    """

    name = "Dovecot"

    def __init__(self, *, prefix: str = "", separator: str = "/", mechanisms: str = "", options: str = "") -> None:
        super().__init__()
        self.secure_port, self.lmtp_port = free_port(), free_port()
        self.certificate = self.folder / "certificate.pem"
        write_certificate(self.certificate)
        account = pwd.getpwnam("nobody")
        (self.folder / "mail").mkdir()
        os.chown(self.folder / "mail", account.pw_uid, account.pw_gid)
        self.config = self.folder / "dovecot.conf"
        self.config.write_text(
            CONFIG.format(
                folder=self.folder,
                certificate=self.certificate,
                password=PASSWORD,
                uid=account.pw_uid,
                gid=account.pw_gid,
                port=self.port,
                secure_port=self.secure_port,
                lmtp_port=self.lmtp_port,
                prefix=prefix,
                separator=separator,
                mechanisms=f" {mechanisms}" if mechanisms else "",
                options=options,
            )
        )

    def start(self) -> None:
        self.run([COMMAND, "-F", "-c", str(self.config)])

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.output
        return all(self._greets(port, start) for port, start in ((self.port, b"* OK"), (self.lmtp_port, b"220 ")))

    @staticmethod
    def _greets(port: int, start: bytes) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.settimeout(2)
            return client.recv(100).startswith(start)
        return False

    def url(self, user: str = "bounce", *, folder: str = "", scheme: str = "imap") -> str:
        """Return the RETURNS_URL of a user's mailbox. ``imap+ssl`` needs SSL_CERT_FILE=certificate."""
        port = self.secure_port if scheme == "imap+ssl" else self.port
        path = f"/{quote(folder)}" if folder else ""
        return f"{scheme}://{quote(user, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}{path}"

    def deliver(self, message: bytes, *recipients: str, sender: str = "") -> None:
        """Hand a message in by LMTP, as a mail server does. The empty sender is that of a report."""
        self.deliver_all([message], *recipients, sender=sender)

    def deliver_all(self, messages: Iterable[bytes], *recipients: str, sender: str = "") -> None:
        """Hand messages in over one connection."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            for message in messages:
                client.sendmail(sender, recipients or ("bounce@example.org",), message)

    @contextlib.contextmanager
    def opened(self, user: str = "bounce") -> Iterator[imaplib.IMAP4]:
        """Open a user's mailbox with Python's own IMAP."""
        client = imaplib.IMAP4("127.0.0.1", self.port)
        try:
            client.login(user, PASSWORD)
            yield client
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def messages(self, folder: str = "INBOX", user: str = "bounce") -> list[bytes]:
        """Return all messages of a folder, oldest first; none if there is no such folder."""
        with self.opened(user) as client:
            status, _ = client.select(f'"{folder}"', readonly=True)
            if status != "OK":
                return []
            _, parts = client.fetch("1:*", "(BODY.PEEK[])")
            return [part[1] for part in parts if isinstance(part, tuple)]

    def counts(self, user: str = "bounce") -> dict[str, int]:
        """Return how many messages each folder of a user has."""
        with self.opened(user) as client:
            _, lines = client.list()
            names = [LISTED.fullmatch(line)[1].decode() for line in lines if isinstance(line, bytes)]  # type: ignore[index]
            return {name: self._count(client, name) for name in names}

    @staticmethod
    def _count(client: imaplib.IMAP4, folder: str) -> int:
        _, (answer, *_) = client.status(f'"{folder}"', "(MESSAGES)")
        assert isinstance(answer, bytes), answer
        return int(answer.rsplit(b" ", 1)[1].rstrip(b")"))
