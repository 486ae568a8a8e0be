"""Renders a finished answer: Markdown in, sanitised HTML out. The model's output is untrusted.

markdown-it-py parses (raw HTML off, images off), Pygments highlights code, and nh3 lets through
only the tags, attributes and URL schemes listed here. The page adds to each link where it leads.
"""

import re
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Some lexers take time with the square of the code's length, and every stream of the process
# waits meanwhile: longer blocks, and those of longer answers, stay plain.
LONGEST_HIGHLIGHTED = 4_000
LONGEST_HIGHLIGHTED_ANSWER = 20_000

_TAGS = set(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a span "  # noqa: SIM905
    "table thead tbody tr th td".split()
)
# "*": without it nh3 lets titles through, and a title can tell a lie about where a link leads.
_ATTRIBUTES: dict[str, set[str]] = {
    "*": set(),
    "code": {"class"},
    "span": {"class"},
    "a": {"href"},
    "ol": {"start"},
}
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)

# A link has to say where it leads: one without a host would be taken for a part of this app.
_ADDRESS = re.compile(r"https?://|mailto:", re.IGNORECASE)
# Embeddings, overrides and isolates: text would read otherwise than it is, code above all
# (https://trojansource.codes).
_REORDERING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])

_FORMATTER = HtmlFormatter(nowrap=True, classprefix="tok-")


def _highlight(code: str, language: str, _attributes: str) -> str:
    if language and len(code) <= LONGEST_HIGHLIGHTED:
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            return highlight(code, lexer, _FORMATTER)
        except ClassNotFound:
            pass
    return escapeHtml(code)


def _make_markdown(**options: Any) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, **options})
    parser.validateLink = _is_address  # type: ignore[method-assign]
    return parser.enable(["table", "strikethrough"]).disable("image")


def _is_address(url: str) -> bool:
    return _ADDRESS.match(url) is not None


_HIGHLIGHTING = _make_markdown(highlight=_highlight)
_PLAIN = _make_markdown()


def render(markdown: str) -> str:
    """Return safe HTML for a model's Markdown."""
    parser = _HIGHLIGHTING if len(markdown) <= LONGEST_HIGHLIGHTED_ANSWER else _PLAIN
    return _CLEANER.clean(parser.render(markdown.translate(_REORDERING)))
