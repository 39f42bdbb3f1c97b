"""Check what is published in DNS for a sender: SPF, DKIM, DMARC, and where mail to its domains goes."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from ipaddress import ip_address

from batches.sender_checks.dns_reader import DnsReader, DnsUnavailable
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.organisations import find_organisation

WEAK_KEY_BYTES = 160
"""A public RSA key of 1024 bits has 162 octets (SubjectPublicKeyInfo). Receivers ignore shorter keys (RFC 8301)."""

SHORT_KEY_BYTES = 290
"""The same with 2048 bits has 294, which RFC 8301 asks signers for."""

SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def read_tags(text: str) -> dict[str, str]:
    """Read ``v=DMARC1; p=none`` (RFC 6376 section 3.2). Names become lower case, and white space is left out."""
    pairs = (tag.partition("=") for tag in text.split(";") if "=" in tag)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def check_dkim(reader: DnsReader, domain: str, *, selector: str) -> CheckItem:
    """Check the key record of a selector (RFC 6376 section 3.6.1). Nobody can list the selectors of a domain."""
    if not selector:
        return CheckItem(
            title=f"DKIM of {domain}",
            light=Light.GREY,
            sentence="The name of the key (the selector) is not known yet.",
            advice="Send a round trip, which finds it, or enter the selector that your mail server names.",
        )
    name = f"{selector}._domainkey.{domain}"
    title = f"DKIM key {name}"
    record = f'{name}. IN TXT "v=DKIM1; k=rsa; p=PUBLIC-KEY-OF-THE-MAIL-SERVER"'
    try:
        records = reader.read_txt(name)
    except DnsUnavailable as exc:
        return CheckItem(title=title, light=Light.GREY, sentence=str(exc))
    keys = [text for text in records if "p" in read_tags(text)]
    if not keys:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence="There is no such key, so receivers can't check the signature.",
            advice="Publish the record that your mail server or provider names.",
            record=record,
        )
    if len(keys) > 1:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"There are {len(keys)} keys of this name, and receivers may take either.",
            advice="Keep one, and give another key another selector.",
            found="\n".join(keys),
        )
    return _judge_key(title, keys[0])


def _judge_key(title: str, text: str) -> CheckItem:
    def item(light: Light, sentence: str, advice: str = "") -> CheckItem:
        return CheckItem(title=title, light=light, sentence=sentence, advice=advice, found=text)

    tags = read_tags(text)
    if tags.get("v", "DKIM1") != "DKIM1":
        return item(Light.RED, f"The record has the version {tags['v']}.", "Begin it with v=DKIM1.")
    if not tags["p"]:
        return item(Light.RED, "The key was withdrawn: its p= is empty.", "Publish the key that your mail server uses.")
    try:
        size = len(b64decode(tags["p"], validate=True))
    except binascii.Error:
        return item(Light.RED, "The key can't be read: its p= is not base64.", "Copy the whole key again.")
    if tags.get("k", "rsa").lower() == "rsa":
        if size < WEAK_KEY_BYTES:
            return item(
                Light.RED, "The key is too short or cut off.", "Make an RSA key of 2048 bits and publish all of it."
            )
        if size < SHORT_KEY_BYTES:
            return item(Light.AMBER, "The key has less than 2048 bits.", "Make a longer one when you renew it.")
    if "y" in tags.get("t", "").split(":"):
        return item(Light.AMBER, "The key says that it is a test (t=y), so receivers may ignore it.", "Remove t=y.")
    return item(Light.GREEN, "It is there.")


def check_dmarc(reader: DnsReader, domain: str, *, return_domain: str, key_domain: str = "") -> CheckItem:
    """Check the policy of the domain in From (RFC 7489 section 6.6.3), which its organisation may have in its place.

    Args:
        return_domain: The domain in MAIL FROM. Another one than that in From does not satisfy a strict policy.
        key_domain: The domain that signs. Empty: not known.
    """
    title = f"DMARC of {domain}"
    record = f'_dmarc.{domain}. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'
    try:
        name, policies = _find_policies(reader, domain)
    except DnsUnavailable as exc:
        return CheckItem(title=title, light=Light.GREY, sentence=str(exc), record=record)
    if not policies:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"There is no DMARC record for {domain}. Large providers refuse bulk mail without one.",
            advice="Publish one. p=none is enough to begin with.",
            record=record,
        )
    found = "\n".join(policies)
    if len(policies) > 1:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"{name} has {len(policies)} DMARC records, so receivers use none of them.",
            advice="Keep one.",
            found=found,
        )
    tags = read_tags(policies[0])
    if tags.get("p", "").lower() not in ("none", "quarantine", "reject"):
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence="The record has no policy that receivers know.",
            advice="Write p=none, p=quarantine or p=reject after v=DMARC1.",
            found=found,
        )
    if strict := _find_strict(tags, domain, return_domain=return_domain, key_domain=key_domain):
        sentence, advice = strict
        return CheckItem(title=title, light=Light.AMBER, sentence=sentence, advice=advice, found=found)
    return CheckItem(title=title, light=Light.GREEN, sentence=f"It is there, at {name}.", found=found)


def _find_strict(tags: dict[str, str], domain: str, *, return_domain: str, key_domain: str) -> tuple[str, str] | None:
    """Say what a strict policy (RFC 7489 section 6.3) does not accept, and what to do. None: it accepts both."""
    if tags.get("adkim", "r").lower() == "s" and key_domain and key_domain != domain:
        return (
            f"The record is strict about DKIM (adkim=s), and {key_domain} signs. So the signature does not count.",
            f"Remove adkim=s, or sign with a key of {domain}.",
        )
    if tags.get("aspf", "r").lower() == "s" and return_domain and return_domain != domain:
        return (
            f"The record is strict about SPF (aspf=s), and mail comes back to {return_domain}. "
            "So only the DKIM signature can satisfy it.",
            "Remove aspf=s, or take care that every message is signed.",
        )
    return None


def _find_policies(reader: DnsReader, domain: str) -> tuple[str, list[str]]:
    """Return the DMARC records that hold for a domain, and where they are: at itself, or at its organisation."""
    for holder in dict.fromkeys((domain, find_organisation(domain))):
        name = f"_dmarc.{holder}"
        policies = [text for text in reader.read_txt(name) if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
        if policies:
            return name, policies
    return "", []


def check_mx(reader: DnsReader, domain: str, *, purpose: str) -> CheckItem:
    """Check that mail to a domain goes somewhere (RFC 5321 section 5.1).

    Args:
        purpose: What comes to the domain, as ``what comes back``.
    """
    title = f"MX of {domain}"
    record = f"{domain}. IN MX 10 MAIL-SERVER-THAT-TAKES-IT."
    try:
        hosts = reader.read_mx(domain)
        if hosts == ["."]:
            return CheckItem(
                title=title,
                light=Light.RED,
                sentence=f"{domain} says that it takes no mail (a null MX), so {purpose} is lost.",
                advice="Replace the record by one that names a mail server.",
                record=record,
            )
        usable = [host for host in hosts if any(map(_is_public, reader.read_addresses(host)))]
        addresses = [] if hosts else reader.read_addresses(domain)
    except DnsUnavailable as exc:
        return CheckItem(title=title, light=Light.GREY, sentence=str(exc), record=record)
    return _judge_mx(title, hosts, usable, has_address=bool(addresses), purpose=purpose, record=record)


def _judge_mx(
    title: str, hosts: list[str], usable: list[str], *, has_address: bool, purpose: str, record: str
) -> CheckItem:
    if not hosts and not has_address:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"No mail server is published, so {purpose} is lost.",
            advice="Publish one.",
            record=record,
        )
    if not hosts:
        return CheckItem(
            title=title,
            light=Light.AMBER,
            sentence="There is no MX record, so mail goes to the address of the domain itself.",
            advice="Publish one, so that it is clear which server takes the mail.",
            record=record,
        )
    if not usable:
        return CheckItem(
            title=title,
            light=Light.RED,
            sentence=f"Its mail servers have no address that others can reach, so {purpose} is lost.",
            advice="Give them an address in DNS.",
            found="\n".join(hosts),
        )
    return CheckItem(title=title, light=Light.GREEN, sentence="It is there.", found="\n".join(hosts))


def _is_public(address: str) -> bool:
    """Whether others may reach an address. A private one may be right inside an organisation, a loopback one never."""
    parsed = ip_address(address)
    return not (parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local)
