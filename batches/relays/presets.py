"""The usual limits of providers. One choice in the admin puts them into a Relay."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from batches.models import Relay, RelayPreset, RelayQuota
from batches.relays.registry import keep_minute_quotas
from batches.waiting import say_quota

DAY_SECONDS = 86_400
MINUTE_SECONDS = 60


class Limits(NamedTuple):
    """Messages in any minute (0: no limit), and further quotas as pairs of an amount and a period in seconds."""

    rate_per_minute: int = 0
    quotas: tuple[tuple[int, int], ...] = ()
    keeps_return_path: bool = True
    """Whether the provider takes a MAIL FROM that is not the login."""

    def __str__(self) -> str:
        named = [say_quota(self.rate_per_minute, MINUTE_SECONDS)] if self.rate_per_minute else []
        named += [say_quota(amount, period) for amount, period in self.quotas]
        return " and ".join(named) or "no limits"


PRESETS = {
    RelayPreset.NONE: Limits(),
    # SMTP AUTH submission of Exchange Online; each message of ours has one recipient.
    RelayPreset.MICROSOFT365: Limits(rate_per_minute=30, quotas=((10_000, DAY_SECONDS),), keeps_return_path=False),
    RelayPreset.WORKSPACE: Limits(quotas=((2_000, DAY_SECONDS),), keeps_return_path=False),
    RelayPreset.GMAIL: Limits(quotas=((500, DAY_SECONDS),), keeps_return_path=False),
    # Each account of Amazon SES has limits of its own. SES says when one is reached, and the reply rules know how.
    RelayPreset.SES: Limits(),
}


@transaction.atomic
def apply_preset(relay: Relay, *, before: Limits) -> str:
    """Put the limits of the relay's preset in place of its own, and return a sentence that says what changed.

    A quota whose period stays keeps its uses.

    Args:
        before: The limits that the relay had before the form with the preset was saved. A limit that differs from them
            was typed into that form, and stays.
    """
    preset, saved = RelayPreset(relay.preset), read_limits(relay)
    limits = PRESETS[preset]
    typed = {period: amount for amount, period in set(saved.quotas) - set(before.quotas)}
    if saved.rate_per_minute == before.rate_per_minute:
        relay.rate_per_minute = limits.rate_per_minute
    if saved.keeps_return_path == before.keeps_return_path:
        relay.keeps_return_path = limits.keeps_return_path
    relay.save(update_fields=["rate_per_minute", "keeps_return_path", "updated_at"])
    quotas = {period: amount for amount, period in limits.quotas} | typed
    relay.quotas.exclude(period_seconds__in={MINUTE_SECONDS, *quotas}).delete()
    for period, amount in quotas.items():
        RelayQuota.objects.update_or_create(relay=relay, period_seconds=period, defaults={"amount": amount})
    keep_minute_quotas()
    now = read_limits(relay)
    if before == now:
        return f"The preset “{preset.label}” changed no limit of {relay}: {now}."
    sentences = [f"The preset “{preset.label}” set the limits of {relay}: {now}. Before: {before}."]
    if now != limits:
        sentences.append("What you typed goes before the preset.")
    if before.keeps_return_path and not now.keeps_return_path:
        sentences.append("It wants its login in MAIL FROM, so no message has a return path of its own.")
    return " ".join(sentences)


def read_limits(relay: Relay) -> Limits:
    """Return the limits that a relay has now."""
    quotas = relay.quotas.exclude(period_seconds=MINUTE_SECONDS).order_by("period_seconds")
    return Limits(
        relay.rate_per_minute,
        tuple(quotas.values_list("amount", "period_seconds")),
        keeps_return_path=relay.keeps_return_path,
    )
