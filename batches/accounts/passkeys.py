"""Whether a browser offers passkeys for the address at which the site is open."""

from __future__ import annotations

import ipaddress

from django.http import HttpRequest
from django.http.request import split_domain_port


def has_passkey_host(request: HttpRequest) -> bool:
    """Whether the site is open at a name. Browsers refuse passkeys for an IP address (WebAuthn, section 5.1.2)."""
    host, _ = split_domain_port(request.get_host())
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False
