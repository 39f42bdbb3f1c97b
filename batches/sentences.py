"""Sentences of parts that know no language. A sentence and its values enter, and it leaves in English.

What is stored, logged or passed between processes is in English. ``translations.say`` translates it for a person. It
finds the sentence again by its pattern, so nothing but the text needs to be kept (decision 53). ``make messages``
collects the sentences from these calls.
"""

from __future__ import annotations


def sentence(pattern: str, **values: object) -> str:
    """Put values in place of ``%(name)s``. A value whose name ends in ``words`` is a part of a sentence itself."""
    return pattern % values if values else pattern


def plural_sentence(one: str, many: str, count: int, **values: object) -> str:
    """The same with a number: ``one`` for 1, otherwise ``many``. The number itself is ``%(count)s``."""
    return (one if count == 1 else many) % {"count": f"{count:,}", **values}
