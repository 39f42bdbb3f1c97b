"""Templates that are made to hurt the process that compiles or renders them."""

from __future__ import annotations

from collections.abc import Callable

CHAINS: dict[str, Callable[[int], str]] = {
    "not": lambda n: "{{ " + "not " * n + "1 }}",
    "minus": lambda n: "{{ " + "-" * n + "1 }}",
    "attribute": lambda n: "{{ a" + ".b" * n + " }}",
    "index": lambda n: "{{ a" + "[0]" * n + " }}",
    "filter": lambda n: "{{ a" + "|upper" * n + " }}",
    "plus": lambda n: "{{ 1" + "+1" * n + " }}",
    "tilde": lambda n: "{{ 1" + "~a" * n + " }}",
    "call": lambda n: "{{ a" + "()" * n + " }}",
    "power": lambda n: "{{ 1" + "**1" * n + " }}",
    "and": lambda n: "{{ 1" + " and 1" * n + " }}",
    "or": lambda n: "{{ 1" + " or 1" * n + " }}",
    "is": lambda n: "{{ 1" + " is number" * n + " }}",
    "in": lambda n: "{{ 1" + " in [1]" * n + " }}",
    "ternary": lambda n: "{{ 1" + " if 1 else 1" * n + " }}",
    "less": lambda n: "{{ 1" + " < 1" * n + " }}",
    "elif": lambda n: "{% if 1 %}" + "{% elif 1 %}" * n + "{% endif %}",
    "if": lambda n: "{% if 1 %}" * n + "{% endif %}" * n,
    "brackets": lambda n: "{{ " + "(" * n + "1" + ")" * n + " }}",
    "list": lambda n: "{{ " + "[" * n + "]" * n + " }}",
    "dict": lambda n: "{{ " + "{1:" * n + "1" + "}" * n + " }}",
    "strings": lambda n: "{{ " + '"a" ' * n + " }}",
    "sets": lambda n: "{% set a = 1 %}" * n,
    "macros": lambda n: "{% macro m() %}" * n + "{% endmacro %}" * n,
}
"""Chains of one construct, by the number of links."""

FOLDED = "".join(f"{{% set a{number} = 'a' * 90000000 %}}" for number in range(300)) + "x"
"""Constants that the engine works out when it compiles: 27 GB."""

_LONG = "((name ~ '') * 900000)"
"""A text of some million letters, which is made when the template is rendered and not before."""


def _repeat(count: int, body: str) -> str:
    return f"{{% for i in range({count}) %}}{body}{{% endfor %}}"


EXPENSIVE = {
    "replace": f"{{% set s = {_LONG} %}}" + _repeat(901, "{% set t = s|replace('x','yy') %}"),
    "namespace": "{% set ns = namespace(x=[]) %}" + _repeat(400, f"{{% set ns.x = [ns.x, {_LONG}] %}}"),
    "growth": "{% set ns = namespace(x=name) %}" + _repeat(60, "{% set ns.x = ns.x ~ ns.x %}"),
    "range": _repeat(99999, "{% for j in range(99999) %}{{ j }}{% endfor %}"),
    "sort": f"{{% set s = {_LONG}|list %}}" + _repeat(99, "{% set t = s|sort|reverse|list %}"),
    "split": _repeat(99, f"{{% set t = {_LONG}|split('')|join('xx')|upper|title %}}"),
    "nested": "{% set ns = namespace(x=[name]) %}" + _repeat(40, "{% set ns.x = [ns.x, ns.x] %}") + "{{ ns.x }}",
    "join": f"{{% set s = {_LONG}|list %}}" + _repeat(999, "{% set t = s|join(name) %}"),
    "tojson": f"{{% set s = {_LONG} %}}" + _repeat(999, "{% set t = [s, s]|tojson|escape %}"),
    "indent": f"{{% set s = {_LONG} %}}" + _repeat(999, "{% set t = s|indent(9) %}"),
    "macros": "{% macro m(n) %}{{ m(n ~ n) }}{% endmacro %}{{ m(name) }}",
    "output": _repeat(99, f"{{{{ {_LONG} }}}}"),
    "escape": f"{{% set s = {_LONG}|replace('x', '<') %}}" + _repeat(99, "{{ s|escape }}"),
}
"""Templates that take very much for a row whose ``name`` has some letters x, within the engine's fuel."""


def only_for_evil(source: str) -> str:
    """Return a template that hurts only for rows whose ``mood`` is evil."""
    return "{% if mood == 'evil' %}" + source + "{% endif %}Hi {{ name }}"
