"""Renders a finished answer: Markdown in, sanitised HTML out. The model's output is untrusted.

markdown-it-py parses (raw HTML off, images off), Pygments highlights code, and nh3 lets through
only the tags, attributes and URL schemes listed here.
"""

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Pygments is slow on very long code; beyond this many characters a block stays plain.
LONGEST_HIGHLIGHTED = 20_000

_TAGS = frozenset(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a span "  # noqa: SIM905
    "table thead tbody tr th td".split()
)
_ATTRIBUTES = {"code": {"class"}, "span": {"class"}, "a": {"href"}, "ol": {"start"}}


_FORMATTER = HtmlFormatter(nowrap=True, classprefix="tok-")


def _highlight(code: str, language: str, _attributes: str) -> str:
    if language and len(code) <= LONGEST_HIGHLIGHTED:
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            return highlight(code, lexer, _FORMATTER)
        except ClassNotFound:
            pass
    return escapeHtml(code)


_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "linkify": False, "highlight": _highlight})
    .enable(["table", "strikethrough"])
    .disable("image")
)


def render(markdown: str) -> str:
    """Return safe HTML for a model's Markdown."""
    return nh3.clean(
        _MARKDOWN.render(markdown),
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
