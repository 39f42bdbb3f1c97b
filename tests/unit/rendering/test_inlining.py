"""Styles go from the style sheet into the elements, and every template tag stays, or the HTML is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.rendering import children
from batches.rendering.inlining import inline_styles, read_words
from batches.rendering.tags import TagFault, find_line, find_spans
from batches.rendering.template import TemplateFault

SHEET = "<style>p { color: red } td.a { padding: 3px } @media (max-width: 3px) { p { color: blue } }</style>"


def tags_of(source: str) -> list[str]:
    return [source[span.start : span.end] for span in find_spans(source)]


def test_styles_are_in_the_elements_and_rules_for_narrow_screens_stay() -> None:
    html = inline_styles(f"{SHEET}<p title='{{{{ \"a\" }}}}'>Hi {{{{ name }}}}</p>")
    assert '<p title="{{ "a" }}" style="color: red;">Hi {{ name }}</p>' in html
    assert "@media (max-width: 3px) { p { color: blue } }" in html


@pytest.mark.parametrize(
    "table", ["<table>", "<table class='x'><thead><tr><td>h</td></tr></thead>", "<table>\n<tbody>"]
)
def test_loop_stays_around_its_row_when_it_is_in_a_table(table: str) -> None:
    html = inline_styles(
        f"{SHEET}{table}{{% for row in rows %}}<tr><td class=a>{{{{ row.c }}}}</td></tr>{{% endfor %}}</table>"
    )
    loop = '{% for row in rows %}<tr><td class="a" style="padding: 3px;">{{ row.c }}</td></tr>{% endfor %}'
    assert loop in html


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("<p>a</p>\n<p {% if a %}class=x{% endif %}>a</p>", 2),
        ("<p>a{% if x %}<b>\n{% endif %}c</b></p>", 2),
        ("<style>\np { color: {{ c }} }</style><p>x</p>", 2),
        ("<p>a</p>\n<p class={{ x }}>a</p>", 2),
        ("<p>\n{{ a", 2),
    ],
)
def test_html_is_refused_with_the_line_when_a_tag_would_not_stay(source: str, line: int) -> None:
    with pytest.raises(TagFault) as refusal:
        inline_styles(source)
    assert find_line(source, refusal.value.offset) == line


def test_fault_names_the_part_and_the_line_when_a_child_refuses() -> None:
    with pytest.raises(TemplateFault, match=r"The HTML body of the template can't be used in line 2: \{% if a %\}"):
        children.inline_styles("<p>a</p>\n<p {% if a %}class=x{% endif %}>a</p>")


def test_html_is_refused_when_its_elements_are_nested_so_deeply_that_the_child_ends() -> None:
    with pytest.raises(TemplateFault, match="too much time or memory"):
        children.inline_styles("<div>" * 60_000 + "{{ a }}")


def test_words_stay_when_a_child_puts_the_styles_into_the_elements() -> None:
    assert 'style="color: red;"' in children.inline_styles(f"{SHEET}<p>Dear {{{{ name }}}}</p>")


PIECES = st.sampled_from(
    [
        *(
            "{{ a }}",
            "{% if a %}",
            "{% else %}",
            "{% endif %}",
            "{% for row in rows %}",
            "{% endfor %}",
            "{# c #}",
            SHEET,
        ),
        *("<p>", "</p>", "<table>", "</table>", "<tr>", "</tr>", "<td class='a'>", "</td>", '<div title="{{ b }}">'),
        *(
            "</div>",
            "<!-- x -->",
            "<!--[if mso]>",
            "<![endif]-->",
            "word ",
            "<br>",
            "<a href='{{ u }}?a=1&b=2'>",
            "</a>",
        ),
        *(
            "<select>",
            "<option>",
            "<svg>",
            "<math>",
            "<title>",
            "</title>",
            "<template>",
            "&amp;",
            "<",
            ">",
            "zq",
            "\n",
        ),
    ]
)


@given(st.lists(PIECES, max_size=20).map("".join))
def test_tags_are_the_same_in_the_same_order_or_the_html_is_refused(source: str) -> None:
    try:
        inlined = inline_styles(source)
    except TagFault as exc:
        assert 0 <= exc.offset <= len(source)
        return
    assert tags_of(inlined) == tags_of(source)


def test_words_are_what_a_person_sees() -> None:
    assert read_words("<title>t</title><style>p{}</style><p>a &amp;</p><p>b") == "a & b"
