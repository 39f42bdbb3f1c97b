"""Mail that comes back, as mail servers write it, for tests of the doors."""

from __future__ import annotations

BOUNCE = """From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Date: Thu, 26 Nov 2026 04:00:00 +0000
Message-ID: <{number}@mx.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Thu, 26 Nov 2026 04:00:00 +0000

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} <{recipient}>: User unknown

--b
Content-Type: text/rfc822-headers

From: news@site.example
To: {recipient}
Message-ID: {message_id}

--b--
"""


def make_bounce(
    number: int,
    *,
    to: str = "bounce@site.example",
    recipient: str = "",
    message_id: str = "<original@site.example>",
    action: str = "failed",
    status: str = "5.1.1",
) -> bytes:
    """Return a delivery status notification (RFC 3464), which differs from those with another number."""
    recipient = recipient or f"nobody{number}@dest.example"
    text = BOUNCE.format(number=number, to=to, recipient=recipient, message_id=message_id, action=action, status=status)
    return text.replace("\n", "\r\n").encode()


def make_letter(number: int, *, to: str = "bounce@site.example") -> bytes:
    """Return a letter that a person wrote: no report, so nothing understands it."""
    head = f"From: Ann <ann@example.org>\r\nTo: {to}\r\nSubject: A question\r\nMessage-ID: <{number}@example.org>\r\n"
    return f"{head}\r\nWhen does school begin on day {number}?\r\n".encode()
