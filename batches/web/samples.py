"""Sample values for the preview of a template that has no recipient yet.

What is known of a template enters. A value for each of its merge fields leaves.
"""

from __future__ import annotations

from batches.names import make_key
from batches.rendering.analysis import Analysis

SAMPLES = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "first_name": "Ada",
    "given_name": "Ada",
    "vorname": "Ada",
    "prénom": "Ada",
    "last_name": "Lovelace",
    "surname": "Lovelace",
    "family_name": "Lovelace",
    "nachname": "Lovelace",
    "nom": "Lovelace",
    "company": "Analytical Engines",
    "firma": "Analytical Engines",
    "city": "London",
    "ort": "London",
}
"""The values of a preview without a recipient. Any other merge field shows its own name."""


_SAMPLES_BY_KEY = {make_key(field): value for field, value in SAMPLES.items()}

NUMBER = "120"
"""The value of a field that the template compares or calculates with. A text would be a fault of the list."""


def sample_values(analysis: Analysis) -> dict[str, str]:
    """Return a value for each merge field: a usual one, a number where one is needed, or the field's own name."""
    numbers = analysis.number_fields
    return {field: _choose(field, is_number=field in numbers) for field in analysis.merge_fields}


def _choose(field: str, *, is_number: bool) -> str:
    if is_number:
        return NUMBER
    return _SAMPLES_BY_KEY.get(make_key(field), field.replace("_", " ").capitalize())
