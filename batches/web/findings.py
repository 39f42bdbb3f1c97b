"""What the review says of how a file was read, with every other choice one click away.

A draft enters. Findings leave: a sentence each, and buttons that read the file again. A list in which nothing is in
doubt has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib.humanize.templatetags.humanize import apnumber
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.files.findings import AddressColumn, EncodingChoice, Reading, SheetChoice, Slip
from batches.files.repairs import MIXTURES, REPAIRS
from batches.models import Batch, RejectionKind, SharedAddresses
from batches.translations import figure, say
from batches.web.reading_form import NO, NO_HEADER, YES
from batches.wording import name_encoding

SHEETS_SHOWN = 12
"""How many other sheets get a button. The form lists all of them."""
SLIPS_SHOWN = 5
_INVENTED = re.compile(r"column_\d+")
"""A column of a list without headings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingButton:
    """A button that reads the file again. It posts one field of the form "Read the file again"."""

    label: str
    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A sentence about the file, and what else can be chosen."""

    topic: str
    text: str
    is_doubtful: bool = True
    """Whether the user should look at it before the list is sent."""
    choices: Sequence[ReadingButton] = ()
    code: str = ""
    """What to write in a template, after the sentence."""
    samples: Sequence[Sequence[str]] = ()
    """Pairs of the same word in two encodings, whose names are in ``sample_names``."""
    sample_names: tuple[str, str] = ("", "")


_CHOICES_ONLY = frozenset({"sheet", "header", "address", "encoding"})
"""Topics that a user needs only to read the file in another way."""


def make_findings(batch: Batch, *, shows_rows: bool, is_stored: bool = True) -> list[Finding]:
    """Return what there is to say of the file, in the order in which mistakes matter most.

    ``shows_rows`` says whether the message shows all rows of an address. ``is_stored`` says whether the file can be
    read again. If not, what only offers another reading is left out.
    """
    findings = _find_all(batch, Reading.from_json(batch.reading), shows_rows=shows_rows)
    return [found for found in findings if is_stored or not (found.choices and found.topic in _CHOICES_ONLY)]


def _find_all(batch: Batch, reading: Reading, *, shows_rows: bool) -> list[Finding]:
    return [
        *_say_sheet(reading),
        *_say_header(batch, reading),
        *_say_address_columns(reading),
        *_say_encodings(batch, reading),
        *_say_hidden_rows(reading),
        *_say_several_addresses(reading),
        *_say_shared(batch, reading, shows_rows=shows_rows),
        *_say_slips(reading),
        *_say_cleaned(reading),
    ]


def count_hidden_rows(batch: Batch) -> int:
    """Return how many rows are left out because the sheet hides them. Rows that were added to the list do not count."""
    if not Reading.from_json(batch.reading).hidden_count:
        return 0
    return batch.rejected_rows.filter(kind=RejectionKind.HIDDEN).count()


def _say_sheet(reading: Reading) -> Iterator[Finding]:
    others = [sheet for sheet in reading.sheets if sheet.name != reading.sheet]
    if not others:
        return
    more = len(others) - SHEETS_SHOWN
    yield Finding(
        topic="sheet",
        text=ngettext(
            "The list is the sheet “%(sheet)s”. The file has %(count)s more sheet.",
            "The list is the sheet “%(sheet)s”. The file has %(count)s more sheets.",
            len(others),
        )
        % {"sheet": reading.sheet, "count": figure(len(others))}
        + (" " + _("The first %(count)s of them are here, all are in the form below.") % {"count": SHEETS_SHOWN})
        * (more > 0),
        is_doubtful="sheet" not in reading.chosen and any(sheet.address_count for sheet in others),
        choices=[
            ReadingButton(label=_name_sheet(sheet), name="sheet", value=sheet.name)
            for sheet in sorted(others, key=lambda sheet: not sheet.address_count)[:SHEETS_SHOWN]
        ],
    )


def _name_sheet(sheet: SheetChoice) -> str:
    notes = [_("hidden")] if sheet.is_hidden else []
    notes.append(_say_addresses(sheet.address_count) if sheet.address_count else _("no addresses"))
    return _("Use “%(sheet)s” (%(notes)s)") % {"sheet": sheet.name, "notes": ", ".join(notes)}


def _say_header(batch: Batch, reading: Reading) -> Iterator[Finding]:
    first = ReadingButton(label="Line 1 has the headings", name="header_row", value="1")
    none = ReadingButton(label="There are no headings", name="header_row", value=NO_HEADER)
    is_chosen = "header_row" in reading.chosen
    if not batch.has_header:
        if any(_INVENTED.fullmatch(column) for column in batch.columns):
            text = "The list has no line of headings, so its columns have numbers for names."
            yield Finding(topic="header", text=text, choices=[first], is_doubtful=not is_chosen)
        return
    above = reading.skipped_lines
    if above or is_chosen:
        text = _("The headings are in line %(line)s.") % {"line": reading.header_line}
        if above:
            left_out = ngettext("The line above was left out.", "The %(count)s lines above were left out.", above)
            text += " " + left_out % {"count": figure(above)}
        choices = [none] if reading.header_line == 1 else [first, none]
        yield Finding(topic="header", text=text, choices=choices, is_doubtful=False)


def _say_address_columns(reading: Reading) -> Iterator[Finding]:
    columns = reading.address_columns
    if len(columns) < 2:
        return
    used = [column for column in columns if column.is_used]
    number = str(apnumber(len(columns))).capitalize()
    goes = (
        _("The mail goes to %(columns)s.")
        if len(used) == 1
        else _("Each address in %(columns)s gets a mail of its own.")
    ) % {"columns": _quote(used)}
    choices = [
        ReadingButton(
            label=(_("Use %(column)s only") if len(used) > 1 else _("Use %(column)s")) % {"column": _quote([column])},
            name="address_indexes",
            value=str(column.index),
        )
        for column in columns
        if not (column.is_used and len(used) == 1)
    ]
    if len(used) < len(columns):
        each = _("All %(count)s, one mail each") % {"count": apnumber(len(columns))}
        label = _("Both, one mail each") if len(columns) == 2 else each
        everything = ",".join(str(column.index) for column in columns)
        choices.append(ReadingButton(label=label, name="address_indexes", value=everything))
    yield Finding(
        topic="address",
        text=_("%(count)s columns hold addresses. %(goes)s") % {"count": number, "goes": goes},
        is_doubtful="address_indexes" not in reading.chosen,
        choices=choices,
    )


def _quote(columns: Sequence[AddressColumn]) -> str:
    unnamed = _("column %(number)s")
    names = [_("“%(name)s”") % {"name": each.heading or unnamed % {"number": each.index + 1}} for each in columns]
    if len(names) < 2:
        return names[0] if names else _("the first of them")
    return _("%(first)s and %(last)s") % {"first": ", ".join(names[:-1]), "last": names[-1]}


_DAMAGED = "Some letters look damaged, as if the file had been converted twice."
_TWO_WAYS = "Some letters can be read in two ways."
_REPAIRED = "Some letters were damaged, because the file had been converted twice. They were repaired."
_MIXED = "The file holds letters in two encodings, as if it were pasted together of two files. Both were read."


def _say_encodings(batch: Batch, reading: Reading) -> Iterator[Finding]:
    if reading.is_encoded_twice and not reading.encodings:
        text = f"{_DAMAGED} Look at the names below. If they are wrong, save the list again, and upload it again."
        yield Finding(topic="encoding", text=text)
    for rival in reading.encodings:
        text, now, other, offer = _word_encodings(batch, reading, rival)
        yield Finding(
            topic="encoding",
            text=f"{text} Compare these words.",
            is_doubtful="encoding" not in reading.chosen,
            choices=[ReadingButton(label=offer, name="encoding", value=rival.encoding)],
            samples=rival.samples,
            sample_names=(now, other),
        )


def _word_encodings(batch: Batch, reading: Reading, rival: EncodingChoice) -> tuple[str, str, str, str]:
    """Return what is in doubt, the names of the present and of the other reading, and the label of the button."""
    other = name_encoding(rival.encoding)
    if batch.encoding in REPAIRS:
        text = _MIXED if batch.encoding in MIXTURES.values() else _REPAIRED
        return text, _("Now"), _("As in the file"), _("Leave the letters as in the file")
    if reading.is_encoded_twice:
        return _DAMAGED, _("Now"), _("Repaired"), _("Repair the names")
    now = _("Now: %(encoding)s") % {"encoding": say(name_encoding(batch.encoding))}
    return _TWO_WAYS, now, say(other), _("Read it as %(encoding)s") % {"encoding": say(other)}


def _say_hidden_rows(reading: Reading) -> Iterator[Finding]:
    count = reading.hidden_count
    if reading.hidden_rows:
        text = "Rows that the sheet hides were taken too, as you chose."
        choice = ReadingButton(label="Leave them out", name="hidden_rows", value=NO)
        yield Finding(topic="hidden", text=text, choices=[choice], is_doubtful=False)
    elif count:
        text = ngettext(
            "%(count)s row is hidden in the sheet and is left out.",
            "%(count)s rows are hidden in the sheet and are left out.",
            count,
        ) % {"count": figure(count)}
        label = ngettext("Take it too", "Take them too", count)
        choice = ReadingButton(label=label, name="hidden_rows", value=YES)
        yield Finding(topic="hidden", text=text, choices=[choice])


def _say_several_addresses(reading: Reading) -> Iterator[Finding]:
    count = reading.split_count
    if not count:
        return
    cells = ngettext(
        "%(count)s cell holds more than one address.", "%(count)s cells hold more than one address.", count
    ) % {"count": figure(count)}
    if reading.split_cells:
        goes = _("Each of these addresses gets a mail of its own.")
        choice = ReadingButton(label="Reject such rows", name="split_cells", value=NO)
    else:
        goes = _("No mail goes to these addresses.")
        choice = ReadingButton(label="Make each address a recipient", name="split_cells", value=YES)
    yield Finding(topic="split", text=f"{cells} {goes}", choices=[choice], is_doubtful=not reading.split_cells)


_SHARED_TEXTS = {
    SharedAddresses.FIRST: "Only the first row of each address gets a mail.",
    SharedAddresses.EACH: "Each row gets a mail of its own.",
    SharedAddresses.TOGETHER: "All rows of an address are in one mail.",
}
_ROWS_NOT_SHOWN = "The message shows only the first of them. To show all of them, write in the template:"
_SHARED_LABELS = {
    SharedAddresses.FIRST: "First row only",
    SharedAddresses.EACH: "One mail for each row",
    SharedAddresses.TOGETHER: "All rows in one mail",
}


def _say_shared(batch: Batch, reading: Reading, *, shows_rows: bool) -> Iterator[Finding]:
    count = reading.shared_count
    if not count:
        return
    present = SharedAddresses(batch.shared_addresses)
    is_lacking = present == SharedAddresses.TOGETHER and not shows_rows
    yield Finding(
        topic="shared",
        text=" ".join(
            filter(None, [_say_sharing(count), _SHARED_TEXTS[present], _ROWS_NOT_SHOWN if is_lacking else ""])
        ),
        choices=[
            ReadingButton(label=label, name="shared_addresses", value=value)
            for value, label in _SHARED_LABELS.items()
            if value != present
        ],
        code=_show_rows(batch) if is_lacking else "",
        is_doubtful=is_lacking or present == SharedAddresses.FIRST,
    )


def _say_sharing(count: int) -> str:
    return ngettext(
        "%(count)s row has an address that an earlier row has too, like two children of one parent.",
        "%(count)s rows have an address that an earlier row has too, like two children of one parent.",
        count,
    ) % {"count": figure(count)}


def _show_rows(batch: Batch) -> str:
    field = next(iter(batch.merge_fields), "email")
    return f"{{% for row in rows %}} {{{{ row.{field} }}}} {{% endfor %}}"


def _say_slips(reading: Reading) -> Iterator[Finding]:
    if not reading.slips:
        return
    shown = [_say_slip(slip) for slip in reading.slips[:SLIPS_SHOWN]]
    more = len(reading.slips) - SLIPS_SHOWN
    if more > 0:
        words = ngettext("and %(count)s more domain", "and %(count)s more domains", more)
        shown.append(words % {"count": figure(more)})
    text = _("Some addresses are probably misspelt: %(shown)s. Correct them in the file, and upload it again.") % {
        "shown": "; ".join(shown)
    }
    yield Finding(topic="slips", text=text)


def _say_slip(slip: Slip) -> str:
    words = ngettext(
        "%(domain)s instead of %(suggestion)s, in %(count)s row",
        "%(domain)s instead of %(suggestion)s, in %(count)s rows",
        slip.count,
    )
    return words % {"domain": slip.domain, "suggestion": slip.suggestion, "count": figure(slip.count)}


def _say_cleaned(reading: Reading) -> Iterator[Finding]:
    if not reading.cleaned_count:
        return
    text = ngettext(
        "Signs that are no part of an address, such as brackets or quotation marks, were removed from %(count)s "
        "address.",
        "Signs that are no part of an address, such as brackets or quotation marks, were removed from %(count)s "
        "addresses.",
        reading.cleaned_count,
    ) % {"count": figure(reading.cleaned_count)}
    yield Finding(topic="cleaned", text=text, is_doubtful=False)


def _say_addresses(count: int) -> str:
    return ngettext("%(count)s address", "%(count)s addresses", count) % {"count": figure(count)}
