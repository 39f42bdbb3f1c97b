"""Find the address of the client of a request, also beside a reverse proxy.

Each proxy appends the address that connected to it to ``X-Forwarded-For``. So with N trusted proxies, the N-th entry
from the end is the address that connected to the first of them. A client can invent the entries before it.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings

IPV6_PREFIX = 64
"""One customer has a whole network of IPv6 addresses, so the network is counted (RFC 6177)."""


def find_client_address(peer: str, forwarded_for: str) -> str:
    """Return the client's IP address.

    Args:
        peer: the address that connected to this process. Empty on a Unix socket.
        forwarded_for: the whole value of ``X-Forwarded-For``; several headers are joined by commas.

    Returns:
        The entry that the outermost trusted proxy wrote, or ``peer`` if there is none, or if it is no IP address.
    """
    hops = settings.TRUSTED_PROXY_COUNT
    entries = [entry.strip() for entry in forwarded_for.split(",") if entry.strip()]
    if hops and len(entries) >= hops:
        return _read(entries[-hops]) or peer
    return peer


def find_counted_address(peer: str, forwarded_for: str) -> str:
    """Return the client's address as limits count it: an IPv6 network for an IPv6 address."""
    address = find_client_address(peer, forwarded_for)
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))


def _read(entry: str) -> str:
    """Read an address, which some proxies write with a port or in brackets. Empty: it is none."""
    text = entry
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
