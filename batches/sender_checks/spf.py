"""Check the SPF record of a domain (RFC 7208). Whether it covers the relay is for the round trip to say: only the
receiver sees from which address a relay sends.
"""

from __future__ import annotations

import re

from batches.sender_checks.dns_reader import DnsReader, DnsUnavailable
from batches.sender_checks.items import CheckItem, Light

LOOKUPS_MAX = 10
"""RFC 7208 section 4.6.4: with more, receivers take the record as faulty."""

_TERM = re.compile(
    r"[+?~-]?(?:all|(?:include|exists):\S+|(?:a|mx|ptr)(?::[^\s/]+)?(?:/\d+)?(?://\d+)?|ip4:[\d./]+|ip6:[0-9a-f:./]+)"
    r"|[a-z][a-z0-9_.-]*=\S*",
    re.IGNORECASE,
)
_LOOKS_UP = re.compile(r"[+?~-]?(include:|a\b|mx\b|ptr\b|exists:)|redirect=", re.IGNORECASE)
_ALL = re.compile(r"[+?~-]?all", re.IGNORECASE)
_FOLLOWED = re.compile(r"[+?~-]?include:(\S+)|redirect=(\S+)", re.IGNORECASE)


def is_spf(text: str) -> bool:
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def check_spf(reader: DnsReader, domain: str, *, wanted: str) -> CheckItem:
    """Check the record of the domain in MAIL FROM.

    Args:
        wanted: What the record should say of the relay, such as ``include:spf.protection.outlook.com``.
    """
    title = f"SPF of {domain}"
    record = f'{domain}. IN TXT "v=spf1 {wanted} -all"'
    try:
        records = [text for text in reader.read_txt(domain) if is_spf(text)]
        if not records:
            return CheckItem(
                title=title,
                light=Light.RED,
                sentence=f"{domain} has no SPF record, so receivers don't know which servers may send for it.",
                advice="Publish one that names your mail server.",
                record=record,
            )
        if len(records) > 1:
            return CheckItem(
                title=title,
                light=Light.RED,
                sentence=f"{domain} has {len(records)} SPF records, so receivers use none of them.",
                advice="Join them to one record.",
                found="\n".join(records),
            )
        return _judge(reader, domain, title=title, text=records[0])
    except DnsUnavailable as exc:
        return CheckItem(title=title, light=Light.GREY, sentence=str(exc), record=record)


def _judge(reader: DnsReader, domain: str, *, title: str, text: str) -> CheckItem:
    def item(light: Light, sentence: str, advice: str = "") -> CheckItem:
        return CheckItem(title=title, light=light, sentence=sentence, advice=advice, found=text)

    terms = text.split()[1:]
    odd = next((term for term in terms if not _TERM.fullmatch(term)), None)
    if odd is not None:
        return item(Light.RED, f"The record has “{odd}”, which no receiver understands.", "Correct or remove it.")
    count, fault = _count_lookups(reader, text, names=(domain,))
    if fault:
        return item(Light.RED, fault, "Remove it, or ask its provider for the right name.")
    if count > LOOKUPS_MAX:
        return item(
            Light.RED,
            f"The record needs {count} look-ups, and receivers make {LOOKUPS_MAX} at most. They take it as faulty.",
            "Remove what you don't use, or write addresses (ip4:) in place of names.",
        )
    ends = [term.lower() for term in terms if _ALL.fullmatch(term)]
    if "all" in ends or "+all" in ends:
        return item(Light.RED, "The record lets every server send for the domain (+all).", "End it with -all.")
    has_redirect = any(term.lower().startswith("redirect=") for term in terms)
    if not has_redirect and (not ends or "?all" in ends):
        return item(Light.AMBER, "The record says nothing of servers that it does not name.", "End it with -all.")
    return item(Light.GREEN, "It is there. The round trip shows whether it covers your mail server.")


def _count_lookups(reader: DnsReader, text: str, *, names: tuple[str, ...]) -> tuple[int, str]:
    """Count the look-ups that a record makes, with those that it includes. The second value says what is broken."""
    count = 0
    terms = text.split()[1:]
    # RFC 7208 section 6.1: redirect= is ignored beside "all".
    has_all = any(map(_ALL.fullmatch, terms))
    for term in terms:
        if not _LOOKS_UP.match(term) or (has_all and term.lower().startswith("redirect=")):
            continue
        count += 1
        followed = _FOLLOWED.fullmatch(term)
        name = (followed[1] or followed[2]).lower().rstrip(".") if followed else ""
        if not name or "%" in name:  # a macro, which depends on the message
            continue
        if name in names or len(names) > LOOKUPS_MAX:
            return count, f"The record includes {name}, which includes itself."
        found = [each for each in reader.read_txt(name) if is_spf(each)]
        if len(found) != 1:
            many = "no SPF record" if not found else f"{len(found)} SPF records"
            return count, f"The record includes {name}, which has {many}. Receivers take the whole record as faulty."
        more, fault = _count_lookups(reader, found[0], names=(*names, name))
        count += more
        if fault or count > 3 * LOOKUPS_MAX:  # enough to say that it is too many
            return count, fault
    return count, ""
