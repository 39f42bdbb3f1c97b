"""Find the name of a recipient in its merge fields. Pure.

The merge fields of a batch and the cells of one recipient enter. The name leaves as people say it, or an empty text.
The headings are compared without case, accents, spaces and signs (``names.make_key``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from batches.names import COMPARED_MAX_CHARS, make_key

FIRST_NAMES = """
    first-name forename given-name given-names christian-name fname vorname vornamen rufname prénom prénoms nombre
    nombres primer-nombre nome-proprio primeiro-nome voornaam roepnaam fornavn förnamn fornamn etunimi fornafn eiginnafn
    imię imiona jméno křestní-jméno meno krstné-meno keresztnév utónév prenume ime vardas vārds eesnimi ad adi isim
    имя имена ім'я име όνομα 名 下の名前 名前-名 שם-פרטי الاسم-الأول نام نام-کوچک tên nama-depan
"""
LAST_NAMES = """
    last-name surname family-name lname nachname familienname zuname nom-de-famille apellido apellidos primer-apellido
    cognome sobrenome apelido achternaam familienaam efternavn etternavn efternamn sukunimi eftirnafn nazwisko příjmení
    priezvisko vezetéknév családnév nume-de-familie prezime priimek pavardė uzvārds perekonnanimi soyad soyadi soyisim
    фамилия прізвище фамилно-име επώνυμο 姓 苗字 성 שם-משפחה اسم-العائلة نام-خانوادگی họ nama-belakang
"""
MIDDLE_NAMES = """
    middle-name middle-names middle-initial zweiter-vorname tussenvoegsel mellomnavn mellannamn segundo-nombre
    segundo-apellido отчество по-батькові
"""
FULL_NAMES = """
    name names full-name display-name complete-name your-name contact contact-name person recipient-name
    vollständiger-name ganzer-name vor-und-nachname vorname-nachname vorname-und-nachname vorname-name name-vorname
    name-und-vorname nachname-vorname nom nom-complet nom-et-prénom prénom-et-nom nom-prénom prénom-nom nombre-completo
    nombre-y-apellido nombre-y-apellidos apellidos-y-nombre nome nome-completo nome-e-cognome cognome-e-nome naam
    volledige-naam navn fulde-navn fullt-navn namn fullständigt-namn nimi koko-nimi nafn imię-i-nazwisko
    nazwisko-i-imię jméno-a-příjmení meno-a-priezvisko név teljes-név nume nume-complet nume-și-prenume ime-i-prezime
    ime-in-priimek vardas-pavardė vards-uzvards täisnimi ad-soyad adi-soyadi isim-soyisim фио имя-и-фамилия
    фамилия-и-имя полное-имя ονοματεπώνυμο 氏名 お名前 名前 姓名 全名 이름 성명 שם שם-מלא الاسم الاسم-الكامل
    họ-và-tên họ-tên nama nama-lengkap
"""
OTHER_NAMES = """
    company firma organisation organization school schule user username login file product event list group domain
    street city country brand team project position job department account
"""
"""Words of headings whose column names something else than a person."""

NAME_MAX_CHARS = 200
"""A longer text in a column of names is no name. It is cut."""

_FIRST = frozenset(map(make_key, FIRST_NAMES.split()))
_LAST = frozenset(map(make_key, LAST_NAMES.split()))
_MIDDLE = frozenset(map(make_key, MIDDLE_NAMES.split()))
_FULL = frozenset(map(make_key, FULL_NAMES.split()))
_OTHER = frozenset(map(make_key, OTHER_NAMES.split()))
_WORD = re.compile(r"[^\W_]+")
_CAPITAL_INSIDE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WRITTEN_TOGETHER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Names of Chinese, Japanese and Korean: the family name comes first, and there is no space between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NameColumns:
    """The places of the merge fields that hold a part of the recipient's name."""

    first: tuple[int, ...] = ()
    middle: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    full: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """All of them, in the order of the list."""
        return tuple(sorted({*self.first, *self.middle, *self.last, *self.full}))


def find_name(merge_fields: Sequence[str], cells: Sequence[str]) -> str:
    """Return the name of a recipient as people say it, such as "Ann Berg", or an empty text.

    Args:
        merge_fields: those of the batch.
        cells: those of the recipient, in the same order. There may be fewer, and all may be empty.
    """
    columns = find_name_columns(tuple(merge_fields))
    first, middle, last, full = (
        _read(cells, places) for places in (columns.first, columns.middle, columns.last, columns.full)
    )
    if not last and full:
        # A list with the columns "Name" and "Vorname" means the family name by the first. One with "Name" and a first
        # name for the salutation has both in "Name".
        if not first or first.casefold() in full.casefold():
            return full[:NAME_MAX_CHARS]
        last = full
    if first and last and _WRITTEN_TOGETHER.fullmatch(first) and _WRITTEN_TOGETHER.fullmatch(last):
        return f"{last}{first}"[:NAME_MAX_CHARS]
    return " ".join(part for part in (first, middle, last) if part)[:NAME_MAX_CHARS]


@lru_cache(maxsize=1024)
def find_name_columns(merge_fields: tuple[str, ...]) -> NameColumns:
    """Find the merge fields that hold a name.

    A field whose whole heading means a name counts. If there is none, one counts in which a word does: "Name des
    Kindes", but not "Company name".
    """
    keys = [make_key(field) for field in merge_fields]
    if not any(key in _FIRST | _LAST | _FULL for key in keys):
        keys = [_find_name_word(field) for field in merge_fields]
    return NameColumns(
        first=_find_places(keys, _FIRST),
        middle=_find_places(keys, _MIDDLE),
        last=_find_places(keys, _LAST),
        full=_find_places(keys, _FULL),
    )


def _find_places(keys: Sequence[str], wanted: frozenset[str]) -> tuple[int, ...]:
    return tuple(place for place, key in enumerate(keys) if key in wanted)


def _find_name_word(field: str) -> str:
    """Return the key of the words of a heading that mean a name, or an empty text."""
    words = [make_key(word) for word in _WORD.findall(_CAPITAL_INSIDE.sub(" ", field[:COMPARED_MAX_CHARS]))]
    if any(word in _OTHER for word in words):
        return ""
    pairs = [first + second for first, second in pairwise(words)]
    return next((word for word in [*pairs, *words] if word in _FIRST | _LAST | _MIDDLE | _FULL), "")


def _read(cells: Sequence[str], places: tuple[int, ...]) -> str:
    """Return the first of some cells that is not empty, with single spaces."""
    texts = (" ".join(str(cells[place]).split()) for place in places if place < len(cells))
    return next((text for text in texts if text), "")
