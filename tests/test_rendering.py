"""Answers as HTML: everything Markdown promises, and nothing that could do harm."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from app.rendering import LONGEST_HIGHLIGHTED, render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=//evil.example></iframe>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "<form action=//evil.example><input name=q></form>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:image/png;base64,AAAA)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '[x](http://e.example "onmouseover=alert(1)")',
    '[x](http://e.example/"onmouseover="alert(1))',
    "![x](http://tracker.example/pixel.png)",
    "![x](javascript:alert(1))",
    "[![x](http://tracker.example/p.png)](http://e.example)",
    '```"onmouseover=alert(1)\nx\n```',
    "```x class=evil\nx\n```",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- --><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<math><mtext></p><style><img src=x onerror=alert(1)>",
    "| <script>alert(1)</script> |\n|-|\n| <img src=x onerror=alert(1)> |",
    "# <script>alert(1)</script>",
    "- <b onclick=alert(1)>x</b>",
    "\x00<script>alert(1)</script>",
]

TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
    *("pre", "code", "em", "strong", "s", "a", "span"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Seen(HTMLParser):
    """Every tag and attribute a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


@pytest.mark.parametrize("markdown", HOSTILE)
def test_nothing_harmful_gets_through(markdown: str) -> None:
    seen = Seen(render(markdown))
    assert seen.tags <= TAGS
    for tag, name, value in seen.attributes:
        assert name in {"class", "href", "start", "rel", "target"}, (tag, name)
        if name == "href":
            assert re.match(r"https?://|mailto:", value), value
        if name == "class":
            assert re.fullmatch(r"(language-\S*|tok-[a-z0-9-]+)", value), value


def test_raw_html_is_shown_as_the_text_it_is() -> None:
    assert render("<b>x</b>") == "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"


def test_links_open_elsewhere_and_tell_nobody_where_from() -> None:
    html = render("[x](https://e.example/?a=1&b=2)")
    ((tag, name, value), *others) = sorted(Seen(html).attributes)
    assert (tag, name, value) == ("a", "href", "https://e.example/?a=1&b=2")
    assert others == [("a", "rel", "noopener noreferrer nofollow"), ("a", "target", "_blank")]


@pytest.mark.parametrize("address", ["/my-feedback", "//e.example", "#question", "?x", "https:x"])
def test_an_address_without_a_host_is_no_link(address: str) -> None:
    assert render(f"[Sign in]({address})") == f"<p>[Sign in]({address})</p>\n"


def test_text_reads_in_the_order_it_is_in() -> None:
    html = render("`a\u202eb` \u2066c\u2069 שלום\u200f")
    assert html == "<p><code>ab</code> c שלום\u200f</p>\n"


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("*a* **b** ~~c~~ `d`", "<p><em>a</em> <strong>b</strong> <s>c</s> <code>d</code></p>\n"),
        ("# T", "<h1>T</h1>\n"),
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>\n'),
        ("---", "<hr>\n"),
        ("a\\\nb", "<p>a<br>\nb</p>\n"),
        ("", ""),
        ("1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>\n"),
        ("😀 ünï", "<p>😀 ünï</p>\n"),
    ],
)
def test_markdown_becomes_html(markdown: str, html: str) -> None:
    assert render(markdown) == html


def test_tables_are_tables() -> None:
    html = render("| a | b |\n|---|:-:|\n| 1 | 2 |\n")
    assert "<thead>\n<tr>\n<th>a</th>\n<th>b</th>" in html
    assert "<tbody>\n<tr>\n<td>1</td>\n<td>2</td>" in html


def test_code_is_coloured_in_the_language_it_names() -> None:
    html = render("```python\ndef f():\n    return 1\n```")
    assert '<pre><code class="language-python">' in html
    assert '<span class="tok-k">def</span>' in html
    assert re.sub("<[^>]*>", "", html) == "def f():\n    return 1\n\n"


@pytest.mark.parametrize(
    "fence",
    ["```\n<b>\n```", "```nosuchlanguage\n<b>\n```", "    <b>", "```python foo=1\n<b>\n```"],
)
def test_other_code_stays_as_it_was_written(fence: str) -> None:
    assert "<b>" in re.sub("<[^>]*>", "", render(fence)).replace("&lt;", "<").replace("&gt;", ">")


def test_code_keeps_its_blank_lines_and_spaces() -> None:
    html = render("```python\n\n  x = 1\n\n\n  y\n```")
    assert re.sub("<[^>]*>", "", html).strip("\n") == "  x = 1\n\n\n  y"


def test_an_unfinished_answer_is_rendered_too() -> None:
    assert "<pre><code" in render("Look:\n```python\ndef f(")
    assert render("**half").startswith("<p>**half")


@pytest.mark.parametrize(
    "markdown",
    ["[" * 4000, "*a **b " * 1000, "> " * 4000, "- " * 2000, "`" * 4000, "<" * 8000, "_" * 8000,
     "~~a" * 2000, "![a" * 2000, "```python\n" + "(" * LONGEST_HIGHLIGHTED + "\n```"],
)  # fmt: skip
def test_no_answer_takes_long_to_render(markdown: str) -> None:
    began = time.process_time()
    render(markdown)
    assert time.process_time() - began < 1.0
