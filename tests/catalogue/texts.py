"""The words of the data that the pages show: usual ones for pictures, and the longest that can come for widths."""

from __future__ import annotations

from dataclasses import dataclass, field

NAMES = (
    "Zoë Müller",
    "Ned Okafor",
    "田中 花子",
    "Ana García",
    "Björn Åkesson",
    "Mia Rossi",
    "Liam O'Brien",
    "Chloé Dubois",
    "Ivan Petrov",
    "Noor Haddad",
    "Emma Schmidt",
    "Lucas Silva",
)
GONE = "5.1.1 User unknown in virtual mailbox table"
FULL = "4.2.2 The mailbox is full, try again later"


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """What people typed, uploaded and got back."""

    filename: str = "members-2026.csv"
    batch_name: str = "Newsletter November"
    template_name: str = "Autumn concert"
    template_key: str = "autumn_concert"
    subject: str = "Your invitation, {{ name }}"
    reply: str = GONE
    town: str = "Lisbon"
    """In a column of the list."""
    heading: str = "Town"
    local_part: str = "{name}"
    """Of each address. ``{name}`` is a word."""
    domain: str = "example.org"
    username: str = "ines"
    names: tuple[str, ...] = field(default=NAMES)

    def make_address(self, number: int) -> str:
        return f"{self.local_part.format(name=f'person{number}')}@{self.domain}"


PLAIN = Texts()

LONG = Texts(
    filename=f"{'members_of_all_local_branches_' * 7}.csv",
    batch_name="Donaudampfschifffahrtsgesellschaftskapitäne" * 4,
    template_name="Rechtsschutzversicherungsgesellschaften" * 5,
    template_key="rechtsschutzversicherungsgesellschaften_" * 2,
    subject="Kraftfahrzeughaftpflichtversicherung" * 6 + "{{ name }}",
    reply="5.7.1 " + "https://blocklist.example/why?ip=192.0.2.1&token=" + "a1b2c3d4e5" * 94,
    town="Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 4,
    heading="Ort_der_Hauptwohnung_oder_des_gewöhnlichen_Aufenthalts",
    local_part="{name}.abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstu",
    domain="a-rather-long-host-name.with-several-labels.of-a-company.example.org",
    username="ines.maria.de.los.angeles.fernandez-rodriguez@people.example.org",
    names=tuple(name.replace(" ", "") * 8 for name in NAMES),
)
"""Without a space wherever the data may have none: an address of 127 characters, a reply of 1,000."""
