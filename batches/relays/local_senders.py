"""Keep mail from an address on this machine, such as ``webmaster@localhost``, away from relays that carry it elsewhere.

The From value of a job and its routes enter, and a sentence leaves. Such an address is the value of DEFAULT_FROM_EMAIL
where nobody has set it. Nobody can answer to it, and many mail servers take its mail for spam. The local inbox accepts
it, and so may any relay on this machine: what that one does with it is the decision of those who run it.
"""

from __future__ import annotations

from collections.abc import Iterable

from batches.delivery.spec import RouteSpec
from batches.mailboxes import is_on_localhost, split_mailbox
from batches.smtp.relay import RelayAddress


def find_local_fault(from_email: str, routes: Iterable[RouteSpec]) -> str:
    """Say why the mail of a sender on this machine may not go over these routes. Empty: it may."""
    if not is_on_localhost(from_email):
        return ""
    for route in routes:
        # Where a Django email backend delivers is not known here.
        if isinstance(route.address, RelayAddress) and not route.address.is_near:
            return (
                f"The sender {split_mailbox(from_email).address} exists on this machine only, and the relay "
                f"{route.name} carries mail elsewhere, where nobody can answer to it. Set DEFAULT_FROM_EMAIL for the "
                "workers and the web process, or correct the address in the admin, under Senders."
            )
    return ""
