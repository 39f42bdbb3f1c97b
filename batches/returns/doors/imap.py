"""The return mailbox, read by IMAP (RFC 9051): each message is recorded, and then moved to a folder of its own.

A MailboxAddress enters. Nothing is ever deleted: what was understood goes to the folder "Done", and the rest to "Not
understood", where a person finds it. A process that is killed between recording and moving finds the message again, and
it counts once.

No UID is kept from one connection to the next, because a mailbox that was restored has other UIDs (UIDVALIDITY, RFC
9051 section 2.3.1.1).
"""

from __future__ import annotations

import contextlib
import imaplib
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import imap_tools
from imap_tools import BaseMailBox, ImapToolsError

from batches.returns.doors.address import MailboxAddress
from batches.returns.doors.receiving import IMAP, MESSAGE_READ_BYTES, Arrived, receive
from batches.smtp.token_endpoint import TokenError

logger = logging.getLogger(__name__)

DONE, NOT_UNDERSTOOD = "Done", "Not understood"
"""The folders beside the one that is read."""

ANSWER_SECONDS = 60.0
"""How long the mail server may take to answer."""

CHUNK_MESSAGES = 50
"""How many messages are recorded in one transaction and moved by one command."""

WAIT_SECONDS = 10.0
"""After this time the folder is looked at, whether or not the server has announced a new message (IDLE, RFC 2177).

An announcement that comes together with the answer to IDLE is not seen, because imap-tools looks at the socket only.
"""

STOP_SECONDS = 1.0
"""How often a wait looks whether it is to end."""

_UID = re.compile(rb"\bUID (\d+)")
_EMPTY = re.compile(rb'BODY\[\](?:<0>)? (?:""|NIL)', re.IGNORECASE)
_PREFIX = re.compile(rb'\(\("([^"]*)"')


class MailboxError(Exception):
    """The return mailbox can't be used now. The message is a sentence without the password or a token."""


class TokenSource(Protocol):
    """Gives the access token for a login."""

    def __call__(self, *, refused: str = "") -> str: ...


class Mailbox:
    """One connection to the return mailbox, with its folder selected. ``open_mailbox`` makes it."""

    def __init__(self, client: BaseMailBox, address: MailboxAddress) -> None:
        self._box = client
        self._prefix = self._find_prefix()
        self._box.folder.set(address.folder)
        for name in (DONE, NOT_UNDERSTOOD):
            self._create(name)

    @property
    def not_understood(self) -> str:
        """The name of the folder with what nothing understood."""
        return self._prefix + NOT_UNDERSTOOD

    def read(self, is_stopped: Callable[[], bool] = lambda: False) -> dict[bool, int]:
        """Record and move every message of the folder, and return how many were understood, and how many were not."""
        counts = {True: 0, False: 0}
        uids = self._box.uids("UNDELETED", charset=None)  # Exchange refuses a search that names one
        for start in range(0, len(uids), CHUNK_MESSAGES):
            if is_stopped():
                break
            contents = self._fetch(uids[start : start + CHUNK_MESSAGES])
            arrived = [Arrived(content=content, door=IMAP, is_kept_there=True) for content in contents.values()]
            understood = dict(zip(contents, receive(arrived), strict=True))  # committed: now they may be moved
            for is_understood, folder in ((True, DONE), (False, NOT_UNDERSTOOD)):
                chosen = [uid for uid, each in understood.items() if each is is_understood]
                self._move(chosen, folder)
                counts[is_understood] += len(chosen)
        return counts

    def wait(self, is_stopped: Callable[[], bool], *, seconds: float = WAIT_SECONDS) -> None:
        """Return when the server announces something, when the time is over, or when it is to end."""
        deadline = time.monotonic() + seconds
        with self._box.idle if "IDLE" in self._box.client.capabilities else contextlib.nullcontext() as idle:
            while not is_stopped() and (now := time.monotonic()) < deadline:
                seconds = min(deadline - now, STOP_SECONDS)
                if idle is None:
                    time.sleep(seconds)
                # A poll that ends early without a line has met the end of the connection. Leaving the block says so.
                elif idle.poll(timeout=seconds) or time.monotonic() < now + seconds / 2:
                    return

    def _fetch(self, uids: Sequence[str]) -> dict[str, bytes]:
        """Return the beginning of each message by its UID. One that somebody has moved meanwhile is left out."""
        status, parts = self._box.client.uid("FETCH", ",".join(uids), f"(UID BODY.PEEK[]<0.{MESSAGE_READ_BYTES}>)")
        if status != "OK":
            raise MailboxError("The return mailbox doesn't give its messages. It is asked again.")
        return read_contents(parts)

    def _move(self, uids: Sequence[str], folder: str) -> None:
        if not uids:
            return
        if "MOVE" in self._box.client.capabilities:  # RFC 6851
            self._box.move(uids, self._prefix + folder)
            return
        self._box.copy(uids, self._prefix + folder)
        self._box.client.uid("STORE", ",".join(uids), "+FLAGS.SILENT", r"(\Deleted)")
        # Without UIDPLUS (RFC 4315) they stay, marked: EXPUNGE would delete what somebody else has marked too.
        if "UIDPLUS" in self._box.client.capabilities:
            self._box.client.uid("EXPUNGE", ",".join(uids))

    def _find_prefix(self) -> str:
        """Return what the names of the user's folders begin with, such as ``INBOX.`` (RFC 2342)."""
        if "NAMESPACE" not in self._box.client.capabilities:
            return ""
        _, lines = self._box.client.namespace()
        found = _PREFIX.match(lines[0]) if lines and isinstance(lines[0], bytes) else None
        return found[1].decode("ascii", "replace") if found else ""

    def _create(self, name: str) -> None:
        if not self._box.folder.exists(self._prefix + name):
            self._box.folder.create(self._prefix + name)
            self._box.folder.subscribe(self._prefix + name, True)


def read_contents(parts: Sequence[bytes | tuple[bytes, bytes] | None]) -> dict[str, bytes]:
    """Read the answer to FETCH as imaplib gives it (RFC 9051, section 7.5.2): the content of each message by its UID.

    An empty message comes as a literal, as ``""`` or as NIL.
    """
    contents: dict[str, bytes] = {}
    pending: bytes | None = None
    for part in parts:
        if isinstance(part, tuple):
            head, pending = part
        else:  # what comes after the content. Some servers send the UID here
            head = part or b""
            if pending is None and _EMPTY.search(head):
                pending = b""
        found = _UID.search(head)
        if found and pending is not None:
            contents[found[1].decode()], pending = pending, None
    return contents


@contextlib.contextmanager
def open_mailbox(address: MailboxAddress, *, find_token: TokenSource | None = None) -> Iterator[Mailbox]:
    """Connect, log in and select the folder.

    Raises:
        MailboxError: the mail server can't be reached, refuses the login, or has no such folder; or it fails later,
            inside the block.
    """
    with _explained(address):
        client = _connect(address)
        try:
            _log_in(client, address, find_token)
            # The server says only now what it can do. imaplib has asked before the login.
            client.client.capabilities = tuple(client.client.capability()[1][0].decode().upper().split())
            yield Mailbox(client, address)
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
                client.logout()


def _connect(address: MailboxAddress) -> BaseMailBox:
    if address.scheme == "imap":
        return imap_tools.MailBoxUnencrypted(address.host, address.port, timeout=ANSWER_SECONDS)
    kind = imap_tools.MailBox if address.scheme == "imap+ssl" else imap_tools.MailBoxStartTls
    return kind(address.host, address.port, timeout=ANSWER_SECONDS, ssl_context=ssl.create_default_context())


def _log_in(client: BaseMailBox, address: MailboxAddress, find_token: TokenSource | None) -> None:
    if address.oauth:
        _log_in_by_token(client, address, find_token)
    elif "LOGINDISABLED" in client.client.capabilities:
        raise MailboxError(
            f"The mail server {address} takes no password in the clear. Write imap+ssl:// or imap+tls:// in "
            "RETURNS_URL."
        )
    elif (address.username + address.password).isascii():
        client.login(address.username, address.password, initial_folder=None)
    else:
        client.login_utf8(address.username, address.password, initial_folder=None)


def _log_in_by_token(client: BaseMailBox, address: MailboxAddress, find_token: TokenSource | None) -> None:
    """Log in with XOAUTH2. A token that the server refuses is renewed once."""
    if find_token is None:
        raise MailboxError("The return mailbox has no OAuth client. Set RETURNS_OAUTH_*.")
    token = find_token()
    try:
        client.xoauth2(address.username, token, initial_folder=None)
    except (imaplib.IMAP4.error, ImapToolsError):
        client.xoauth2(address.username, find_token(refused=token), initial_folder=None)


@contextlib.contextmanager
def _explained(address: MailboxAddress) -> Iterator[None]:
    """Make every failure of the mail server one sentence."""
    try:
        yield
    except imap_tools.MailboxLoginError as exc:
        raise MailboxError(_explain_login(address, str(exc))) from None
    except imap_tools.MailboxFolderSelectError:
        raise MailboxError(
            f"The return mailbox at {address} has no folder {address.folder}. Correct the end of RETURNS_URL."
        ) from None
    except TokenError as exc:
        raise MailboxError(f"There is no login at {address}: {exc}") from None
    except ssl.SSLError as exc:
        reason = getattr(exc, "verify_message", "") or exc.reason
        raise MailboxError(f"There is no TLS with {address}: {reason}.") from None
    except (imaplib.IMAP4.abort, TimeoutError, OSError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        raise MailboxError(f"The mail server {address} can't be reached: {str(reason).rstrip('.')}.") from None
    except imaplib.IMAP4.error as exc:
        if "AUTH" in str(exc).upper():
            raise MailboxError(_explain_login(address, str(exc))) from None
        raise MailboxError(f"The mail server {address} refused a command. It is asked again.") from None
    except ImapToolsError as exc:
        raise MailboxError(f"The mail server {address} refused a command ({type(exc).__name__}).") from None


def _explain_login(address: MailboxAddress, words: str) -> str:
    """Explain a refused login in the server's own words, without what was sent."""
    for secret in filter(None, (address.password,)):
        words = words.replace(secret, "***")
    basic = " Use a login by access token (?oauth=) instead of a password." if "basic auth" in words.lower() else ""
    found = re.search(r"b['\"](.*)['\"]", words)
    return f"The mail server {address} refused the login ({found[1] if found else words}). Correct RETURNS_URL.{basic}"
