"""Match the fields that a template uses with the merge fields of a list, as people write them. Pure.

Names match without regard to case, accents, spaces and signs, in every script: ``{{ Vorname }}`` finds ``vorname``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from batches.names import is_letter_or_digit, make_key, remove_accents

ADDRESS_NAMES = """
    mail mails emails e-mail-address mail-address e-mail-adresse mail-adresse correo correo-electrónico courriel
    adresse-électronique adresse-email indirizzo-email e-mail-adres e-post почта メール メールアドレス
"""
"""Names that people give the address. They mean it unless a column has the name."""

_ADDRESS_KEYS = frozenset(map(make_key, ADDRESS_NAMES.split()))

NEAR_COUNT = 3
"""How many columns are offered for a field that no column matches."""

NEAR_MAX = 50
"""For how many missing fields columns are looked for. Each is compared with every column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldBinding:
    """Which merge field of a list each field of a template shows."""

    aliases: Mapping[str, str]
    """From a template's spelling to the list's merge field, only where the two differ."""
    missing: tuple[str, ...]
    """The template's fields that no merge field matches, in alphabetical order."""
    near: Mapping[str, tuple[str, ...]]
    """For each missing field, the merge fields that resemble it most, best first."""


def bind_fields(
    template_fields: Iterable[str], merge_fields: Collection[str], address_heading: str = ""
) -> FieldBinding:
    """Find the merge field that each field of a template means.

    The address, ``email``, is always there. ``address_heading``, the heading of its column, means it too.
    """
    exact = {*merge_fields, "email"}
    by_key = {make_key(name): name for name in reversed([*merge_fields, "email"])}
    others = [name for name in template_fields if name not in exact]
    address_keys = {*_ADDRESS_KEYS, make_key(address_heading)} - {""}
    by_any_key = dict.fromkeys(address_keys, "email") | by_key
    aliases = {name: by_any_key[make_key(name)] for name in others if make_key(name) in by_any_key}
    missing = tuple(sorted(name for name in others if name not in aliases))
    near = {name: _find_near(name, by_key) if place < NEAR_MAX else () for place, name in enumerate(missing)}
    return FieldBinding(aliases=aliases, missing=missing, near=near)


def make_identifier(name: str) -> str:
    """Return a name as people write it in the form that the template language reads: letters, digits, underscores.

    An identifier stays as it is: it keeps its case and accents.
    """
    if name.isidentifier():
        return name
    words = "".join(char if is_letter_or_digit(char) else " " for char in remove_accents(name)).split()
    identifier = "_".join(words)
    return f"_{identifier}" if identifier[:1].isdigit() else identifier


def _find_near(name: str, by_key: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(by_key[key] for key in get_close_matches(make_key(name), by_key, NEAR_COUNT))
