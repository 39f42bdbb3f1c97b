"""Check the names of filters, tests and functions in every branch of a template, by asking minijinja. Pure.

minijinja notices an unknown name only when it renders the branch that has it, and that may be one row in a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from minijinja import Environment, TemplateError

from batches.rendering import numbers
from batches.rendering.expressions import CALCULATE, COMPARE, IS_IN
from batches.rendering.syntax import NameUse, Uses
from batches.rendering.tags import TagFault

_SECTION = re.compile(r"(globals|tests|filters): [\[{]\n(.*?)\n {8}[\]}]", re.DOTALL)
_QUOTED = re.compile(r'"(\w+)"')
_NEAR = {
    "capfirst": "capitalize", "ucfirst": "capitalize", "upcase": "upper", "uppercase": "upper", "downcase": "lower",
    "lowercase": "lower", "strip": "trim", "size": "length", "len": "length", "floatformat": "round",
    "default_if_none": "default", "number": "float", "integer": "int", "linebreaksbr": "replace", "empty": "defined",
}  # fmt: skip
"""Names of other template languages, and ours for the same."""

_FILTERS = (
    "Common ones are upper, title, default, round, replace and join. "
    "The page docs/letters.md has the others, under “Changing what a field shows”."
)
_COMMON = {
    "filter": _FILTERS,
    "test": "Common ones are defined, number, odd, even, eq and in. The page docs/letters.md has more on conditions.",
    "function": f"To show a column of this name, remove the brackets. To change a field, use a filter. {_FILTERS}",
}
"""What to say of a name that resembles none. A list of all names would hide the few that a letter needs."""

_BOUND = frozenset({"loop", "self", "caller", "super"})
"""The functions that a statement defines for what it encloses."""

_COMPARISON_TESTS = {
    "<": ("lt", "lessthan", "<"), "<=": ("le", "<="), ">": ("gt", "greaterthan", ">"), ">=": ("ge", ">="),
}  # fmt: skip


def add_numbers(environment: Environment) -> None:
    """Give a template the functions, filters and tests that read the numbers in texts."""
    functions: dict[str, Callable[..., object]] = {
        COMPARE: numbers.compare,
        CALCULATE: numbers.calculate,
        IS_IN: numbers.is_in,
    }
    for name, function in functions.items():
        environment.add_global(name, numbers.guard(function))
    filters: dict[str, Callable[..., object]] = {
        "int": numbers.to_int,
        "float": numbers.to_float,
        "round": numbers.to_round,
        "abs": numbers.to_abs,
        "sum": numbers.to_sum,
    }
    for name, function in filters.items():
        environment.add_filter(name, numbers.guard(function))
    for sign, names in _COMPARISON_TESTS.items():
        for name in names:
            environment.add_test(name, numbers.guard_test(numbers.make_test(sign)))
    environment.add_test("number", numbers.guard_test(numbers.is_number))
    environment.add_test("divisibleby", numbers.guard_test(numbers.is_divisible))
    environment.add_test("even", numbers.guard_test(lambda value: numbers.is_divisible(value, 2)))
    environment.add_test("odd", numbers.guard_test(numbers.is_odd))


def check_names(environment: Environment, uses: Uses) -> None:
    """Check the names that a source uses, whether or not a row ever reaches them.

    Raises:
        TagFault: minijinja does not know a name.
    """
    _check(environment, "filter", uses.filters, lambda name: f"0|{name}")
    _check(environment, "test", uses.tests, lambda name: f"0 is {name}")
    for use in uses.functions:
        is_set = use.name in uses.own | _BOUND
        if not is_set and not environment.eval_expr(f"{use.name} is defined"):
            raise TagFault(_say_unknown(environment, "function", use.name), use.offset)
    for use in uses.methods:
        advice = f"Write |{use.name} instead." if _is_known(environment, f"0|{use.name}") else "Remove it."
        raise TagFault(f"A field has no .{use.name}(). {advice}", use.offset)


def _check(environment: Environment, kind: str, uses: Iterable[NameUse], make_probe: Callable[[str], str]) -> None:
    for use in uses:
        is_name = re.fullmatch(r"\w+", use.name) is not None
        if is_name and not _is_known(environment, make_probe(use.name)):
            raise TagFault(_say_unknown(environment, kind, use.name), use.offset)


def _is_known(environment: Environment, probe: str) -> bool:
    try:
        environment.eval_expr(probe)
    except TemplateError as exc:
        return not exc.kind.startswith("Unknown")
    except (TypeError, ValueError):  # a function of ours, called without its arguments
        return True
    return True


def _say_unknown(environment: Environment, kind: str, name: str) -> str:
    known = _list_names(environment, kind)
    hint = _NEAR.get(name, "")
    near = [hint] if hint in known else get_close_matches(name, known, 1)
    advice = f"Did you mean {near[0]}?" if near else _COMMON[kind]
    return f"There is no {kind} named {name}. {advice}"


def _list_names(environment: Environment, kind: str) -> list[str]:
    """Return the names that minijinja itself lists."""
    section = {"filter": "filters", "test": "tests", "function": "globals"}[kind]
    listed = dict(_SECTION.findall(environment.render_str("{{ debug() }}"))).get(section, "")
    return [name for name in _QUOTED.findall(listed) if not name.startswith("__")]
