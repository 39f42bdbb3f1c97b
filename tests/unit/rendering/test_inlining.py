"""Styles go from the style sheet into the elements, and every template tag stays, or the HTML is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.rendering import children
from batches.rendering.compiled import compile_parts
from batches.rendering.inlining import inline_styles, read_words
from batches.rendering.tags import TagFault, find_line, find_spans
from batches.rendering.template import MessageParts, TemplateFault

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
        ("<style>p{}</style>\n<p>&#123;&#123; a }}", 2),
        ("<style>p{}</style>\n<p title='&lbrace;% if a %}'>a</p>", 2),
        ("<ul>\n{% for row in rows %}<li>{{ row.a }}\n{% endfor %}</ul>", 3),
    ],
)
def test_html_is_refused_with_the_line_when_a_tag_would_not_stay(source: str, line: int) -> None:
    with pytest.raises(TagFault) as refusal:
        inline_styles(source)
    assert find_line(source, refusal.value.offset) == line


def test_rules_that_no_element_can_have_stay_in_the_style_sheet() -> None:
    sheet = "<style>a { color: red } a:hover { color: blue !important } .x { top: 0 }</style>"
    html = inline_styles(
        f"{sheet}<link rel=stylesheet href='https://x.org/a.css'><a class='{{{{ c }}}}' href='#'>a</a>"
    )
    assert "a:hover { color: blue !important; }" in html
    assert ".x { top: 0; }" in html  # the value of the field may be that class
    assert '<a class="{{ c }}" href="#" style="color: red;">a</a>' in html
    assert '<link rel="stylesheet" href="https://x.org/a.css">' in html
    assert "<style>" not in inline_styles("<style>p { color: red }</style><p>a</p>")


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("<!--[if mso]><table><tr><td><![endif]-->", "<!--[if mso]><table><tbody><tr><td><![endif]-->"),
        ("<!--[if mso]>{{ a }}<![endif]-->", "<!--[if mso]>{{ a }}<![endif]-->"),
        ("<!--[if !mso]><!--><p>{{ a }}</p><!--<![endif]-->", "<!--[if !mso]><!--><p"),
        ("<![if !mso]><p>{{ a }}</p><![endif]>", "<!--[if !mso]><!--><p"),
    ],
)
def test_condition_for_outlook_stays(source: str, kept: str) -> None:
    html = inline_styles(f"{SHEET}{source}")
    assert kept in html
    assert html.count("<![endif]-->") == 1


def test_condition_may_begin_before_the_first_element_when_there_is_no_body() -> None:
    html = inline_styles(f"{SHEET}\n{{% if a %}}<p>{{{{ a }}}}</p>{{% endif %}}")
    assert '<body>{% if a %}<p style="color: red;">{{ a }}</p>{% endif %}</body>' in html
    assert inline_styles(f"<!doctype html>\n{SHEET}<p>a").startswith("<!DOCTYPE html><html><head><style>td.a")


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


@given(st.lists(PIECES, max_size=20).map("".join), st.booleans())
def test_message_has_the_same_words_when_styles_were_put_in_before_or_after(source: str, is_true: bool) -> None:
    rows = [{"a": "one"}, {"a": "two"}] if is_true else []
    context = {"a": "x" if is_true else "", "b": "y", "u": "https://x.org", "rows": rows}
    try:
        inlined = inline_styles(source)
        first, last = (compile_parts(MessageParts(subject="S", html=html, text="")) for html in (source, inlined))
        rendered = first.render(context).html
        after = inline_styles(rendered)
    except (TagFault, TemplateFault):
        return
    assert read_words(last.render(context).html) == read_words(after)


def test_words_are_what_a_person_sees() -> None:
    assert read_words("<title>t</title><style>p{}</style><p>a &amp;</p><p>b") == "a & b"
