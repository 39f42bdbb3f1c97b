"""A real Exim for one test, apart from the system's: it has a private folder, listens on loopback and delivers nothing.

All its limits are the defaults. Every message stays in its spool, and the log names its recipients: those lines are
the witness. Debian's package exim4-daemon-light conflicts with postfix, so EXIM_ROOT may name a folder into which the
package was unpacked.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

from tests.acceptance.mail_server import MailServer

USER = "Debian-exim"
RECEIVED = re.compile(r" <= \S+ .* for (\S+)$", re.MULTILINE)
RECIPIENT_HEADER = re.compile(rb"^\d{3}T To: .*?([^\s<>]+@[^\s<>]+)>?$", re.MULTILINE)

CONFIG = """
primary_hostname = relay.example.net
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
log_selector = +received_recipients +smtp_no_mail +smtp_protocol_error
pid_file_path = {folder}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
host_lookup =
helo_lookup_domains =
queue_only = true
queue_run_max = 0
keep_environment =
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
acl_smtp_data = check_data
{options}

begin acl

check_mail:
{at_mail}
  accept

check_rcpt:
{at_rcpt}
  accept

check_data:
{at_data}
  accept

begin routers

nowhere:
  driver = redirect
  data = :blackhole:
"""


def find_binary() -> Path | None:
    """Return Exim's program: that of EXIM_ROOT, or the system's."""
    root = os.environ.get("EXIM_ROOT")
    if root:
        return next((path for path in [Path(root, "usr/sbin/exim4")] if path.exists()), None)
    found = shutil.which("exim4", path="/usr/sbin:/usr/bin")
    return Path(found) if found else None


def missing() -> str:
    """Say why Exim cannot be started here; empty if it can."""
    if find_binary() is None:
        return "Exim is missing; unpack Debian's package exim4-daemon-light and set EXIM_ROOT to the folder."
    if os.getuid() != 0:
        return "Exim's daemon needs root."
    with contextlib.suppress(KeyError):
        pwd.getpwnam(USER)
        return ""
    return f"The user {USER} is missing; Debian's package exim4-base makes it."


class Exim(MailServer):
    """Start it with ``with Exim(...) as relay``. The arguments are lines of its access lists and further options."""

    name = "Exim"

    def __init__(self, *, at_mail: str = "", at_rcpt: str = "", at_data: str = "", options: str = "") -> None:
        binary = find_binary()
        assert binary is not None, missing()
        super().__init__()
        self.binary = binary
        account = pwd.getpwnam(USER)
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, account.pw_uid, account.pw_gid)
        self.config = self.folder / "exim.conf"
        self.config.write_text(
            CONFIG.format(
                folder=self.folder,
                port=self.port,
                options=options,
                at_mail=at_mail,
                at_rcpt=at_rcpt,
                at_data=at_data,
            )
        )

    def start(self) -> None:
        self.run([self.binary, "-C", self.config, "-bdf"])

    def change(self, before: str, after: str) -> None:
        """Restart Exim with another line in its configuration. A SIGHUP would start the system's program."""
        self.stop()
        self.config.write_text(self.config.read_text().replace(before, after))
        self.start()

    def stop(self) -> None:
        """End the daemon and the processes of its connections."""
        super().stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return super().output + self._read_log("panic") + self._read_log("reject")

    @property
    def log(self) -> str:
        return self._read_log("main")

    def _read_log(self, name: str) -> str:
        path = self.folder / "log" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def accepted(self) -> Counter[str]:
        """Count the accepted messages by recipient. Each must have one recipient, whom its To header names."""
        for path in self.folder.glob("spool/input/**/*-H"):
            head = path.read_bytes()
            envelope = head.split(b"\n\n", 1)[0].splitlines()[-1]
            (addressed,) = RECIPIENT_HEADER.findall(head)
            assert envelope == addressed, head
        return Counter(RECEIVED.findall(self.log))
