"""Lay out a MIME message once for a job, then fill in To, Subject, Message-ID and the bodies for each email.

A rendered template enters. The canonical form of a message leaves (RFC 5322, RFC 2045): all line ends are CRLF, no
line has more than 998 octets, and no merge field puts anything into a header unencoded. SMTP does the dot-stuffing.
"""

from __future__ import annotations

import binascii
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from hashlib import blake2b, blake2s, sha256
from secrets import token_urlsafe
from typing import NamedTuple

from batches.mailboxes import parse_mailbox
from batches.rendering.headers import encode_mailbox, encode_subject
from batches.rendering.template import SUBJECT_MAX_CHARS as SUBJECT_MAX_CHARS
from batches.rendering.template import Rendered
from batches.rendering.unsubscribing import NewsFields

LINE_MAX_OCTETS = 998
"""RFC 5322 section 2.1.1, without the CRLF."""

_BODY_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\t"), ord("\n")})


class Message(NamedTuple):
    """One message as octets."""

    content: bytes
    is_8bit: bool
    """Whether an octet may be above 127 (RFC 6152)."""
    has_dots: bool = True
    """Whether a line may begin with a dot, which SMTP has to double."""


def derive_message_key(secret: str) -> bytes:
    """Derive the key of all Message-IDs of a site from its SECRET_KEY."""
    return sha256(b"message-id:" + secret.encode()).digest()


def make_message_id(*, key: bytes, email_id: int, job_id: int, domain: str, names_email: bool = True) -> str:
    """Make the Message-ID (RFC 5322 section 3.6.4) of an email in a job. It is the same for each attempt.

    So a receiver can drop a duplicate. It begins with the id of the email, so that a report that quotes it is matched.
    Without the key nobody can make the Message-ID of another email. Jobs from before 0.3 have Message-IDs without the
    id: ``names_email`` is False.
    """
    id_left = _make_id_writer(key, job_id, names_email=names_email)(email_id)
    return f"<{id_left.decode()}@{domain}>"


def read_message_id(text: str) -> int | None:
    """Return the id of the email that a Message-ID names. It may be forged: compare with ``make_message_id``."""
    found = _OWN_ID.fullmatch(text)
    return int(found[1], 16) if found else None


_OWN_ID = re.compile(r"<([0-9a-f]{12})[0-9a-f]{20}@[^<>@\s]{1,255}>", re.IGNORECASE)


def _make_id_writer(key: bytes, job_id: int, *, names_email: bool) -> Callable[[int], bytes]:
    """Return what writes the Message-ID of an email before the ``@``: 32 characters.

    The job's part of the hash is computed once. The key is the beginning of what BLAKE2s hashes, which it allows: it
    has no length extension (RFC 7693). As its key parameter, it would fill a block of its own.
    """
    begun = blake2s(b"%b%d." % (key, job_id), digest_size=10, person=b"msg-id")
    old = blake2b(b"%d." % job_id, key=key, digest_size=16)

    def write(email_id: int) -> bytes:
        name = b"%012x" % email_id
        keyed_hash = begun.copy()
        keyed_hash.update(name)
        return name + keyed_hash.hexdigest().encode()

    def write_without_name(email_id: int) -> bytes:
        keyed_hash = old.copy()
        keyed_hash.update(b"%d" % email_id)
        return keyed_hash.hexdigest().encode()

    return write if names_email else write_without_name


def canonical(body: str) -> bytes | None:
    """The body with CRLF line ends and without control characters except TAB (RFC 5322 section 2.3). None: empty."""
    if not body:
        return None
    octets = body.encode("utf-8", "replace")
    if "\r" in body:
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # On octets, because that is much faster than a regular expression. UTF-8 has none of them inside a character.
    return octets.translate(None, _BODY_CONTROLS).replace(b"\n", b"\r\n")


def _is_too_long(body: bytes | None) -> bool:
    """Whether a line is over the limit. Jumps from line end to line end, each jump as far as the limit allows."""
    start, body = 0, body or b""
    while len(body) - start > LINE_MAX_OCTETS:
        end = body.rfind(b"\r\n", start, start + LINE_MAX_OCTETS + 2)
        if end < 0:
            return True
        start = end + 2
    return False


class MessageLayout:
    """The parts of a message that are the same for every email of a job.

    Args:
        from_email: The job's From value.
        reply_to: The job's Reply-To value. Empty: the messages have no such header.
        names_emails: Whether the Message-IDs name their emails, as those of all newer jobs do.
        news: What news has, so that its recipients can unsubscribe. None: service.

    Raises:
        SenderFault: ``from_email`` has no address that can be used.
    """

    def __init__(
        self,
        *,
        from_email: str,
        job_id: int,
        key: bytes,
        reply_to: str = "",
        names_emails: bool = True,
        news: NewsFields | None = None,
    ) -> None:
        sender = parse_mailbox(from_email)
        fields = [encode_mailbox("From", sender)]
        if reply_to:
            fields.append(encode_mailbox("Reply-To", parse_mailbox(reply_to)))
        self.news = news
        self.id_left = _make_id_writer(key, job_id, names_email=names_emails)
        """Writes the Message-ID of an email before the ``@``, as in ``make_message_id``."""
        # 96 random bits: no merge field can contain the boundary by accident or guess it, so none can end a part.
        boundary = f"=_{token_urlsafe(12)}"
        self._to = b"\r\n".join((*fields, b"To: "))
        self._after_id = b"@" + sender.domain.encode() + b">\r\nDate: "
        self._open = f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
        self._between = f"\r\n--{boundary}\r\n".encode()
        self._close = f"\r\n--{boundary}--\r\n".encode()
        self._date_second, self._date = 0, b""

    def build(
        self, *, email_id: int, address: str, rendered: Rendered, allow_8bit: bool, digest: bytes | None = None
    ) -> Message:
        """Make one recipient's message. ``digest`` is that of the address, if it is known."""
        text, html = canonical(rendered.text), canonical(rendered.html)
        quoted = not allow_8bit or _is_too_long(text) or _is_too_long(html)
        head = self.head(
            address=address.encode(),
            subject_line=encode_subject(rendered.subject),
            id_left=self.id_left(email_id),
            date=self.date_now(),
            token=self.news.write_token(address, digest) if self.news else b"",
        )
        return Message(
            head + self.body(text=text, html=html, quoted=quoted), is_8bit=not (quoted and address.isascii())
        )

    def head(self, *, address: bytes, subject_line: bytes, id_left: bytes, date: bytes, token: bytes = b"") -> bytes:
        """The header lines before those of the body. ``token`` is used in news alone."""
        sent_by = (b"\r\nMessage-ID: <", id_left, self._after_id, date)
        news = self.news.fields(token) if self.news else b""
        return b"".join((self._to, address, b"\r\n", subject_line, *sent_by, news, _BULK))

    def link(self, address: str, digest: bytes | None = None) -> str:
        """The link with which a recipient of news unsubscribes. Empty: it is service mail."""
        return self.news.link(self.news.write_token(address, digest)) if self.news else ""

    def body(self, *, text: bytes | None, html: bytes | None, quoted: bool) -> bytes:
        """The header lines of the body, and the body: the text part before the HTML part (RFC 2046 section 5.1.4).

        None: the message lacks that part.
        """
        if text is not None and html is not None:
            parts = (self._open, *_part(b"plain", text, quoted), self._between, *_part(b"html", html, quoted))
            return b"".join((*parts, self._close))
        single = _part(b"html", html or b"", quoted) if text is None else _part(b"plain", text, quoted)
        return b"".join((*single, b"\r\n"))

    def date_now(self) -> bytes:
        """The value of the Date header. It is formatted once per second."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second, self._date = second, formatdate(second).encode()
        return self._date


_BULK = b"\r\nAuto-Submitted: auto-generated\r\nPrecedence: bulk\r\nMIME-Version: 1.0\r\n"
_PART_HEADS = {
    (subtype, quoted): b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: %s\r\n\r\n'
    % (subtype, b"quoted-printable" if quoted else b"8bit")
    for subtype in (b"plain", b"html")
    for quoted in (True, False)
}


def _part(subtype: bytes, body: bytes, quoted: bool) -> tuple[bytes, bytes]:
    return _PART_HEADS[subtype, quoted], _quote(body) if quoted else body


def _quote(body: bytes) -> bytes:
    octets = binascii.b2a_qp(body, istext=True)
    # b2a_qp ends the lines that it breaks like the body's first line. A body of one line gets bare LFs.
    return octets if b"\n" in body else octets.replace(b"\n", b"\r\n")
