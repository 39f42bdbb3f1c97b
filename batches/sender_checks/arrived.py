"""Read the header with which a round trip arrived: the signature, what the receiver says, TLS, and what was rewritten.

Every field that is read here was added by a server on the way, or by us. The newest field is the first, and the one of
the server that the return mailbox is on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from ipaddress import ip_address

from django.conf import settings

from batches.return_paths import read_return_path
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.organisations import is_aligned
from batches.sender_checks.published import read_tags

UNSUBSCRIBE_FIELDS = ("List-Unsubscribe", "List-Unsubscribe-Post")

_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"^\s*(spf|dkim|dmarc)\s*=\s*([a-z]+)(.*)", re.IGNORECASE | re.DOTALL)
_SIGNER = re.compile(r"\bheader\.[di]\s*=\s*[\"']?(?:[^\s@;\"']*@)?([^\s@;\"']+)", re.IGNORECASE)
"""The domain of a signature in a result of DKIM (RFC 8601 section 2.7.1)."""
_PROTOCOL = re.compile(r"\bwith\s+(?:UTF8)?((?:E?SMTP|LMTP)S?A?)\b", re.IGNORECASE)
_CLIENT = re.compile(r"^from\b.*?\[(?:IPv6:)?([0-9a-f.:]+)\]", re.IGNORECASE)
"""The address of the client in a Received field, as RFC 5321 section 4.4 writes it."""
_WITH_TLS = re.compile(r"\bTLS", re.IGNORECASE)

_GOOD, _PASSING = ("pass",), ("neutral", "temperror", "policy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What we sent."""

    domain: str
    """The domain in From."""
    message_id: str
    email_id: int
    """The id of the Email, which its return path holds."""
    is_news: bool
    keeps_return_path: bool | None
    """Whether a return path of our own was sent. None: which relay took the message is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One field DKIM-Signature."""

    domain: str
    selector: str
    signed: frozenset[str]
    """The names of the header fields that it covers, in lower case."""


def parse_header(text: str) -> Message:
    return HeaderParser().parsestr(text)


def read_signatures(message: Message) -> list[Signature]:
    """Return the signatures of a message (RFC 6376 section 3.5), the newest first."""
    all_tags = [read_tags(_unfold(value)) for value in message.get_all("DKIM-Signature", [])]
    return [
        Signature(
            domain=tags.get("d", "").lower(),
            selector=tags.get("s", ""),
            signed=frozenset(tags.get("h", "").lower().split(":")),
        )
        for tags in all_tags
    ]


def find_own(signatures: list[Signature], domain: str) -> Signature | None:
    """Return the signature that counts for DMARC, the one of just this domain first."""
    return min(_find_aligned(signatures, domain), key=lambda each: each.domain != domain, default=None)


def _find_aligned(signatures: list[Signature], domain: str) -> list[Signature]:
    return [each for each in signatures if is_aligned(each.domain, with_domain=domain)]


def check_header(text: str, expected: Expected) -> list[CheckItem]:
    """Check everything that the header of a round trip shows."""
    message = parse_header(text)
    return [
        _check_signature(message, expected.domain),
        _check_unsubscribe(message, expected),
        *_check_results(message, expected.domain),
        _check_tls(message),
        _check_message_id(message, expected),
        _check_return_path(message, expected),
    ]


def _check_signature(message: Message, domain: str) -> CheckItem:
    title = "DKIM signature"
    signatures = read_signatures(message)
    found = "\n".join(f"d={each.domain} s={each.selector}" for each in signatures)
    if not signatures:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence="The message arrived without a signature. Large providers refuse bulk mail without one.",
            advice="Let the mail server sign with DKIM. deploy/postfix/ has OpenDKIM set up for it.",
        )
    own = find_own(signatures, domain)
    if own is None:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"It is signed, but not by {domain}, so the signature does not count for DMARC.",
            advice=f"Let the mail server or the provider sign with a key of {domain}.",
            found=found,
        )
    return CheckItem(title=title, light=Light.GREEN, sentence=f"It is signed by {own.domain}.", found=found)


def _check_unsubscribe(message: Message, expected: Expected) -> CheckItem:
    title = "One-click unsubscribing"
    if not expected.is_news:
        return CheckItem(
            title=title,
            light=Light.GREY,
            sentence="The round trip was sent as service mail, because news can't be sent from here yet.",
            advice="Set PUBLIC_URL and UNSUBSCRIBE_KEYS, and send a round trip again.",
        )
    missing = [name for name in UNSUBSCRIBE_FIELDS if name not in message]
    if missing:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"{_join(missing)} did not arrive. A server on the way removed it.",
            advice="Ask the provider of the mail server to leave it in the message.",
        )
    if "<https:" not in _unfold(message["List-Unsubscribe"]).replace(" ", "").lower():
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence="The link in List-Unsubscribe is no https address, so providers show no button to unsubscribe.",
            advice="Set PUBLIC_URL to an address that begins with https://, and send a round trip again.",
            found=_unfold(message["List-Unsubscribe"]),
        )
    # One signature that covers both is enough, so the one that covers most is judged.
    aligned = _find_aligned(read_signatures(message), expected.domain)
    signed = max((each.signed for each in aligned), key=_count_covered, default=frozenset[str]())
    unsigned = [name for name in UNSUBSCRIBE_FIELDS if name.lower() not in signed]
    if unsigned:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"The signature does not cover {_join(unsigned)}, so providers show no button to unsubscribe.",
            advice="With OpenDKIM, add the line “SignHeaders *,+List-Unsubscribe-Post” to opendkim.conf, and restart "
            "it. Otherwise ask the provider of the mail server to sign it.",
            found=f"h={':'.join(sorted(signed))}" if signed else "",
        )
    return CheckItem(title=title, light=Light.GREEN, sentence="The signature covers both headers.")


def _count_covered(signed: frozenset[str]) -> int:
    return sum(name.lower() in signed for name in UNSUBSCRIBE_FIELDS)


def _check_results(message: Message, domain: str) -> list[CheckItem]:
    """Read Authentication-Results (RFC 8601) of the server of the mailbox: the newest, and others of the same name.

    Where SPF is checked by a program of its own, Received-SPF may say it in place of them (RFC 7208 section 9.1).
    """
    fields = [_COMMENT.sub("", _unfold(value)) for value in message.get_all("Authentication-Results", [])]
    servers = [field.partition(";")[0].strip().lower() for field in fields]
    results: dict[str, tuple[str, str]] = {}
    for server, value in zip(servers, fields, strict=True):
        if server == servers[0]:
            results = _read_results(value, domain) | results
    if "spf" not in results and (words := _unfold(message.get("Received-SPF", "")).split()):
        results["spf"] = (words[0].lower(), " ".join(words))
    return [_judge_result(method, results.get(method)) for method in ("spf", "dkim", "dmarc")]


def _read_results(value: str, domain: str) -> dict[str, tuple[str, str]]:
    """Return for each method its best result about us, and the text of it."""
    found: dict[str, tuple[str, str]] = {}
    for part in _COMMENT.sub("", value).split(";")[1:]:
        match = _RESULT.match(part)
        if match is None or not _is_about_us(match[1].lower(), match[3], domain):
            continue
        method, result = match[1].lower(), match[2].lower()
        if method not in found or result in _GOOD:
            found[method] = (result, " ".join(part.split()))
    return found


def _is_about_us(method: str, text: str, domain: str) -> bool:
    """Whether a result is about our own signature or MAIL FROM, and not a provider's, or the name in EHLO."""
    if method == "dkim":
        signers = _SIGNER.findall(text)
        return not signers or any(is_aligned(signer, with_domain=domain) for signer in signers)
    return method != "spf" or "smtp.mailfrom" in text.lower() or "smtp.helo" not in text.lower()


def _judge_result(method: str, result: tuple[str, str] | None) -> CheckItem:
    title = f"The receiver on {method.upper()}"
    if result is None:
        return CheckItem(
            title=title,
            light=Light.GREY,
            sentence=f"The server of the return mailbox says nothing of {method.upper()}.",
            advice="It may not check mail of its own. Send a test to an address at a large provider, and look at "
            "Authentication-Results there.",
        )
    word, text = result
    if word in _GOOD:
        return CheckItem(title=title, light=Light.GREEN, sentence="It passed.", found=text)
    if word in _PASSING:
        return CheckItem(
            title=title,
            light=Light.AMBER,
            sentence=f"The receiver could not decide: {word}.",
            advice="Send a round trip again later. If it stays so, look at the records in DNS.",
            found=text,
        )
    return CheckItem(
        title=title, light=Light.RED, sentence=f"It did not pass: {word}.", advice=_ADVICE[method], found=text
    )


_ADVICE = {
    "spf": "Name the mail server in the SPF record of the domain in MAIL FROM.",
    "dkim": "Compare the key in DNS with the one that the mail server signs with, and look for a server on the way "
    "that changes messages.",
    "dmarc": "SPF or DKIM must pass for the domain of the sender, or one below it.",
}


def _check_tls(message: Message) -> CheckItem:
    """Look for a hop between two machines in the clear (RFC 3848 names the protocols)."""
    title = "Encryption on the way"
    hops = [_unfold(value) for value in message.get_all("Received", [])]
    far = [hop for hop in hops if _PROTOCOL.search(hop) and _is_far(hop)]
    clear = [hop for hop in far if not _is_encrypted(hop)]
    if clear:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence="The message went from one machine to another without encryption.",
            advice="Let both servers use STARTTLS: in Postfix smtp_tls_security_level = may and "
            "smtpd_tls_security_level = may. Between the application and the mail server, write smtp+tls:// in "
            "EMAIL_URL.",
            found="\n".join(clear),
        )
    if far:
        return CheckItem(title=title, light=Light.GREEN, sentence="Every hop between two machines was encrypted.")
    if any(_is_encrypted(hop) for hop in hops):
        return CheckItem(title=title, light=Light.GREEN, sentence="The servers encrypt what they pass on.")
    return CheckItem(
        title=title,
        light=Light.GREY,
        sentence="The message did not leave this machine, or no server says how it came.",
        advice="Send a test to an address elsewhere, and look for “ESMTPS” in its fields Received.",
    )


def _is_far(hop: str) -> bool:
    """Whether a hop came from an address outside of this machine and of private networks."""
    client = _CLIENT.search(hop.partition(" by ")[0])
    try:
        return client is not None and not ip_address(client[1]).is_private
    except ValueError:
        return False


def _is_encrypted(hop: str) -> bool:
    protocol = _PROTOCOL.search(hop)
    return (protocol is not None and "S" in protocol[1].upper()[4:]) or bool(_WITH_TLS.search(hop))


def _check_message_id(message: Message, expected: Expected) -> CheckItem:
    title = "Message-ID"
    arrived = _unfold(message.get("Message-ID", ""))
    if arrived == expected.message_id:
        return CheckItem(title=title, light=Light.GREEN, sentence="It arrived as it was sent.")
    is_needed = expected.keeps_return_path is False and not _has_own_return_path(message, expected)
    return CheckItem(
        title=title,
        light=Light.RED if is_needed else Light.AMBER,
        sentence="A server on the way replaced it, so what comes back can't be matched by it"
        + (", and there is no return path of our own either." if is_needed else ". The return path does it instead."),
        advice="Let the relay keep a return path of our own, or have the provider report returns to a webhook."
        if is_needed
        else "",
        found=f"sent {expected.message_id}\narrived {arrived or 'without one'}",
    )


def _check_return_path(message: Message, expected: Expected) -> CheckItem:
    title = "Return path"
    arrived = _read_return_path(message)
    if _has_own_return_path(message, expected):
        return CheckItem(title=title, light=Light.GREEN, sentence="It arrived as it was sent.", found=arrived)
    if expected.keeps_return_path is False:
        return CheckItem(
            title=title,
            light=Light.AMBER,
            sentence="The mail server is not asked to take a return path of our own, so returns are matched by their "
            "Message-ID.",
            advice="Switch on “takes our return paths” of the relay, if its provider takes a MAIL FROM other than the "
            "login.",
        )
    if not arrived:
        return CheckItem(
            title=title,
            light=Light.GREY,
            sentence="The server of the return mailbox does not note the return path.",
            advice="Let it write the field Return-Path, as RFC 5321 section 4.4 asks.",
        )
    if expected.keeps_return_path is None:
        return CheckItem(
            title=title,
            light=Light.AMBER,
            sentence="It is none of our own, and it is not known which relay took the message: the relays were changed "
            "since, or several have one address.",
            advice="Look at “takes our return paths” of the relays, and send a round trip again.",
            found=arrived,
        )
    return CheckItem(
        title=title,
        light=Light.RED,
        sentence="A server on the way replaced it, so what comes back does not reach the return mailbox by it.",
        advice="Switch off “takes our return paths” of the relay, or allow our own MAIL FROM at the provider.",
        found=arrived,
    )


def _has_own_return_path(message: Message, expected: Expected) -> bool:
    path = read_return_path(_read_return_path(message), bounce_address=settings.BOUNCE_ADDRESS)
    return path is not None and path.email_id == expected.email_id


def _read_return_path(message: Message) -> str:
    return _unfold(message.get("Return-Path", "")).strip("<> ")


def _unfold(value: object) -> str:
    return " ".join(str(value).split())


def _join(names: list[str]) -> str:
    return " and ".join(names)
