"""Turn what a request says about a file into reading options, and what was found in the file into an answer."""

from __future__ import annotations

from typing import Any

from batches import intake
from batches.api.errors import ApiError
from batches.api.reading_schemas import ReadingChoices, ReadingOut
from batches.api.schemas import ReadAgain, UploadOptions
from batches.files.findings import Reading
from batches.files.reading_choices import change_choices
from batches.models import Batch

_OPTION_NAMES = {
    "encoding": "encoding",
    "delimiter": "delimiter",
    "hasHeader": "has_header",
    "headerRow": "header_row",
    "addressColumns": "address_indexes",
    "sheet": "sheet",
    "hiddenRows": "hidden_rows",
    "splitCells": "split_cells",
}


def upload_choices(options: UploadOptions) -> intake.ReadingOptions:
    """Return the reading options of an upload. An empty text is an option that is left out."""
    return change_choices({}, {name: None if value == "" else value for name, value in _read_changes(options).items()})


def change_reading(batch: Batch, payload: ReadAgain) -> intake.ReadingOptions:
    """Return the reading options of a draft: those that were chosen before, with the changes of a request.

    Raises:
        ApiError: 422, the request says one thing in two ways.
    """
    _refuse_contradiction(payload)
    changes = _read_changes(payload)
    if "addressColumn" in payload.model_fields_set and not payload.addressColumns:
        changes["address_indexes"] = None if payload.addressColumn is None else [payload.addressColumn]
    return change_choices(Reading.from_json(batch.reading).chosen, changes)


def _read_changes(payload: ReadingChoices) -> dict[str, Any]:
    said = payload.model_fields_set
    return {option: getattr(payload, name) for name, option in _OPTION_NAMES.items() if name in said}


def _refuse_contradiction(payload: ReadAgain) -> None:
    for old, new in (("addressColumn", "addressColumns"), ("hasHeader", "headerRow")):
        if getattr(payload, old) is not None and getattr(payload, new) is not None:
            raise ApiError(422, f"'{old}' and '{new}' say the same thing in two ways. Send '{new}' alone.")


def describe_reading(reading: Reading) -> ReadingOut:
    """Return the answer's shape of a Reading. Its names are those of Reading, in the API's spelling."""
    return ReadingOut.model_validate(_respell(reading.to_json()) | {"chosen": _name_chosen(reading)})


def _name_chosen(reading: Reading) -> dict[str, Any]:
    names = {option: name for name, option in _OPTION_NAMES.items()}
    return {names[option]: value for option, value in reading.chosen.items()}


def _respell(value: Any) -> Any:
    """``{"is_used": True}`` -> ``{"isUsed": True}``, at every depth."""
    if isinstance(value, dict):
        return {_to_camel(name): _respell(item) for name, item in value.items()}
    return [_respell(item) for item in value] if isinstance(value, list) else value


def _to_camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
