"""Headings: which of them means the address, and what merge field each other one becomes. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def _unaccented(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold()


def _plain(text: str) -> str:
    return "".join(char for char in _unaccented(text) if char.isalnum())


# Compared without case, accents, spaces and signs. The first mean e-mail and nothing else; the second also
# mean a postal address, so they count only if an address is found below them.
ADDRESS_HEADINGS = """
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
MAYBE_ADDRESS_HEADINGS = """
    address addresses adresse adresses adress adres adresa dirección direcciones indirizzo endereço cím
    адрес 地址 to recipient recipients empfänger destinataire destinatario
"""
# What the template language reads as its own: a merge field of this name could never be shown.
RESERVED_WORDS = """
    true false none not and or in is if elif else endif for endfor loop self set block
"""

_ASIDE = re.compile(r"\([^()]*\)|\d+")
"""What address books and forms add to a heading."""

_SURE = frozenset(map(_plain, ADDRESS_HEADINGS.split()))
_MAYBE = frozenset(map(_plain, MAYBE_ADDRESS_HEADINGS.split()))
_RESERVED = frozenset(RESERVED_WORDS.split())


def is_address_heading(heading: str) -> bool:
    """Whether it can mean nothing but the e-mail address; "Email 1" and "E-Mail (required)" do too."""
    return _plain(_ASIDE.sub("", heading)) in _SURE


def is_maybe_address_heading(heading: str) -> bool:
    """Whether it may mean the e-mail address, or a postal one."""
    return _plain(heading) in _MAYBE


def name_merge_fields(columns: Sequence[str], positions: Sequence[int]) -> list[str]:
    """Unique identifiers: "First Name" is first_name, the second "name" name_2, a blank third column_3."""
    taken = {"email"}  # the address itself goes by this name in a template
    names: list[str] = []
    for column, position in zip(columns, positions, strict=True):
        stem = _identifier(column) or f"column_{position}"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def is_merge_field(name: str) -> bool:
    """Whether a template can use it."""
    return re.fullmatch("[a-z_][a-z0-9_]*", name) is not None and name not in _RESERVED and name != "email"


def _identifier(text: str) -> str:
    """The ASCII letters and digits of a heading, with underscores between."""
    name = re.sub("[^a-z0-9]+", "_", _unaccented(text)).strip("_")[:60]
    if name[:1].isdigit():
        name = f"_{name}"
    return f"{name}_" if name in _RESERVED else name
