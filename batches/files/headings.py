"""Decide which heading means the email address, and name the merge field of every other column. Pure.

The headings of a file enter. Merge field names leave, one for each heading, unique and usable in a template.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from batches.names import make_key, remove_accents

# Headings are compared without case, accents, spaces and signs. Those of the first list mean email and nothing else.
# Those of the second list may also mean a postal address, so they count only if their column holds email addresses.
EMAIL_HEADINGS = """
    e-mail emails email-id email-address email-adress email-adresse user-email contact-email work-email
    private-email primary-email your-email subscriber-email e-mail-value mail mails
    mail-address mail-adresse mailing-address-email correo correo-e correos correo-electrónico dirección-de-correo
    dirección-de-correo-electrónico courriel courriels adresse-mail adresse-email adresse-électronique
    adresse-courriel adresse-de-courriel adresse-de-messagerie
    e-post e-post-adress e-post-adresse e-posta e-posta-adresi sähköposti sähköpostiosoite
    indirizzo-email indirizzo-mail posta-elettronica endereço-de-email
    endereço-eletrônico e-mail-adres adres-email adresa-email
    adresa-de-email netfang tölvupóstur e-mail-cím email-cím elektronická-pošta e-mailová-adresa e-naslov
    elektroniskā-pasta-adrese el-paštas el-pašto-adresas alamat-email surel địa-chỉ-email thư-điện-tử
    poczta e-pošta почта э-почта эл-почта электронная-почта электронный-адрес email-адрес
    емейл имейл имейл-адрес електронна-пошта електронна-поща ел-поща メール メールアドレス eメール
    電子メール 電子メールアドレス 邮箱 邮件 电子邮件 电子邮箱 邮箱地址 電子郵件 電郵 이메일 이메일주소 전자우편
    ηλεκτρονικό-ταχυδρομείο
    البريد-الإلكتروني דוא״ל אימייל ایمیل پست-الکترونیکی ईमेल ईमेल-पता อีเมล อีเมล์
"""
AMBIGUOUS_HEADINGS = """
    address addresses adresse adresses adress adres adresa dirección direcciones indirizzo endereço cím
    адрес 地址 to recipient recipients empfänger destinataire destinatario
"""
# The template language reads these words as its own, so a merge field of this name could never be shown. ``rows`` are
# all rows of a mail that several rows share.
RESERVED_WORDS = """
    true false none not and or in is if elif else endif for endfor loop self set block rows
"""

ADDRESS_KEY = "email"
"""The name by which a template shows the address. No merge field may match it."""

NAME_MAX_LENGTH = 60

_NOTE_OR_NUMBER = re.compile(r"\([^()]*\)|\d+")
"""Address books and forms add these to a heading: "Email 1", "E-Mail (required)"."""

_EMAIL_KEYS = frozenset(map(make_key, EMAIL_HEADINGS.split()))
_AMBIGUOUS_KEYS = frozenset(map(make_key, AMBIGUOUS_HEADINGS.split()))
_RESERVED = frozenset(RESERVED_WORDS.split())


def is_email_heading(heading: str) -> bool:
    """Say whether a heading means the email address and nothing else, as "Email 1" and "E-Mail (required)" do."""
    return make_key(_NOTE_OR_NUMBER.sub("", heading)) in _EMAIL_KEYS


def is_ambiguous_heading(heading: str) -> bool:
    """Say whether a heading means either an email address or a postal address."""
    return make_key(heading) in _AMBIGUOUS_KEYS


def name_merge_fields(headings: Sequence[str], positions: Sequence[int]) -> list[str]:
    """Name a merge field for each heading; the names are unique identifiers.

    "First Name" becomes first_name, a second "name" becomes name_2, and a blank heading at position 3 becomes column_3.
    Letters of other scripts stay: "Имя" becomes имя.
    """
    taken: set[str] = set()
    names: list[str] = []
    for heading, position in zip(headings, positions, strict=True):
        stem = _make_identifier(heading) or f"column_{position}"
        name, number = stem, 2
        while name in taken or make_key(name) == ADDRESS_KEY:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def is_merge_field(name: str) -> bool:
    """Say whether a template can use this name for a merge field."""
    return name.isidentifier() and name.casefold() not in _RESERVED and make_key(name) not in ("", ADDRESS_KEY)


def _make_identifier(heading: str) -> str:
    """Join the letters and digits of a heading with underscores.

    Latin letters lose their accents, because people write them with and without. Other scripts keep theirs.
    """
    plain = remove_accents(heading)
    text = plain if plain.isascii() else unicodedata.normalize("NFKC", heading).lower()
    name = "".join(char if f"_{char}".isidentifier() else " " for char in text.replace("_", " "))
    name = "_".join(name.split())[:NAME_MAX_LENGTH].strip("_")
    if not make_key(name):
        return ""
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if name in _RESERVED else name
