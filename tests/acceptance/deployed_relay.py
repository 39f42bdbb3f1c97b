"""The relay of ``deploy/postfix`` for one test: Postfix and OpenDKIM with the files that ``setup`` writes.

Only what a machine has once is changed for the test: ports, folders, and where mail for the outside goes.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emailbatch.localstack.processes import die_with_parent
from tests.acceptance.mail_server import START_SECONDS, free_port
from tests.acceptance.postfix import PostfixServer
from tests.chaos.stack import ROOT, wait_until
from tests.smtpserver.certificate import write_certificate

SETUP = ROOT / "deploy" / "postfix" / "setup"
OPENDKIM = "/usr/sbin/opendkim"
CURE = "SignHeaders *,+List-Unsubscribe-Post\n"


def missing() -> str:
    """Say why OpenDKIM cannot be started here; empty if it can."""
    if not Path(OPENDKIM).exists() or not Path("/usr/sbin/opendkim-genkey").exists():
        return "OpenDKIM is missing; it is Debian's packages opendkim and opendkim-tools."
    with contextlib.suppress(KeyError):
        pwd.getpwnam("opendkim")
        return ""
    return "The user opendkim is missing; Debian's package opendkim makes it."


class DeployedRelay(PostfixServer):
    """Start it with ``with DeployedRelay(...) as relay``.

    Args:
        selector: The name of its DKIM keys.
        has_cure: Without it, OpenDKIM signs the headers that it signs by default.
        networks: From where it takes mail for everybody, and signs it. Mail from elsewhere is checked.
        next_hop: The port on loopback to which all mail for the outside goes.
        returns_port: The port on loopback of the LMTP server that takes mail for the return address. 0: the mail goes
            to the next hop, as to everybody.
    """

    def __init__(
        self,
        *,
        host: str = "relay.school.example",
        from_domains: Sequence[str] = ("school.example",),
        bounce_address: str = "bounce@news.school.example",
        has_cure: bool = True,
        selector: str = "emailbatch",
        networks: str = "127.0.0.0/8",
        next_hop: int = 0,
        returns_port: int = 0,
    ) -> None:
        super().__init__()
        self.certificate = self.folder / "certificate.pem"
        write_certificate(self.certificate)
        self.milter_port = free_port()
        self.variables = {
            "ROOT": str(self.folder),
            "MAIL_HOST": host,
            "FROM_DOMAINS": " ".join(from_domains),
            "BOUNCE_ADDRESS": bounce_address,
            "CERTIFICATE": str(self.certificate),
            "NETWORKS": networks,
            "RETURNS_LMTP": f"127.0.0.1:{returns_port or free_port()}",
            "LISTEN": f"127.0.0.1:{self.port}",
            "SELECTOR": selector,
            "MILTER_PORT": str(self.milter_port),
            "LOG": "/dev/stdout",
        }
        self.has_cure, self.next_hop, self.has_returns = has_cure, next_hop, bool(returns_port)
        self.run_setup()

    def run_setup(self) -> None:
        """Write the configuration. ``published`` is what it prints: the records to publish."""
        done = subprocess.run([str(SETUP)], env=os.environ | self.variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.published = done.stdout
        self._move_to_folder()
        self._change_signing()

    @property
    def configuration(self) -> Path:
        return self.folder / "etc" / "postfix"

    def public_key(self, domain: str) -> tuple[str, str]:
        """The name and the content of the DKIM record to publish for a domain."""
        zone_file = (self.folder / "etc" / "dkimkeys" / f"{domain}.txt").read_text()
        return f"{self.variables['SELECTOR']}._domainkey.{domain}", "".join(zone_file.split('"')[1::2])

    def _move_to_folder(self) -> None:
        account = pwd.getpwnam("postfix")
        for name in ("queue", "data"):
            (self.folder / name).mkdir(exist_ok=True)
        os.chown(self.folder / "data", account.pw_uid, account.pw_gid)
        changes = {
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "relayhost": f"[127.0.0.1]:{self.next_hop}" if self.next_hop else "",
            # So that a test need not wait for what is tried again.
            "minimal_backoff_time": "2s",
            "queue_run_delay": "2s",
        }
        if not self.has_returns:
            changes |= {"relay_domains": ""}
        lines = [f"{name}={value}" for name, value in changes.items()]
        subprocess.run(["/usr/sbin/postconf", "-c", str(self.configuration), "-e", *lines], check=True, timeout=20)

    def _change_signing(self) -> None:
        path = self.folder / "etc" / "opendkim.conf"
        text = path.read_text()
        assert CURE in text
        if not self.has_cure:
            text = text.replace(CURE, "")
        # The folder of the tests is below one that everybody may write to.
        path.write_text(f"{text}RequireSafeKeys no\nTestDNSData {self.records}\n")
        self.records.touch()

    @property
    def records(self) -> Path:
        """What OpenDKIM finds in DNS."""
        return self.folder / "etc" / "records"

    def publish(self, records: dict[str, str]) -> None:
        """Let OpenDKIM find these TXT records."""
        self.records.write_text("".join(f"{name} {value}\n" for name, value in records.items()))
        self.stop_signing()
        self.start_signing()

    def start(self) -> None:
        self.start_signing()
        super().start()

    def start_signing(self) -> None:
        argv = [OPENDKIM, "-f", "-x", str(self.folder / "etc" / "opendkim.conf")]
        with (self.folder / "opendkim-output").open("ab") as output:
            self.opendkim = subprocess.Popen(
                argv, stdout=output, stderr=output, preexec_fn=die_with_parent(signal.SIGTERM)
            )
        wait_until(self._is_signing, seconds=START_SECONDS, what="OpenDKIM to answer")

    def _is_signing(self) -> bool:
        assert self.opendkim.poll() is None, (self.folder / "opendkim-output").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.milter_port), timeout=2):
            return True
        return False

    def stop(self) -> None:
        super().stop()
        self.stop_signing()

    def stop_signing(self) -> None:
        self.opendkim.terminate()
        self.opendkim.wait(timeout=20)
