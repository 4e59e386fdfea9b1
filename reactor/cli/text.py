"""Words for people: escaping, durations, marks, nearest names. Whatever an author's code says passes through `clean` first.

A value, a name or an exception's message may hold escape sequences, newlines, markup or bidi controls: shown raw they could
repaint the terminal, forge a line of our own, or hide text. This room knows no run and no terminal library.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from reactor.plan.spelling import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT = 400  # characters of one value or message that are shown on a line

MARKS = {
    "waiting": "·",
    "running": "▸",
    "retrying": "↻",
    "succeeded": "✓",
    "recovered": "✓",
    "skipped": "○",
    "failed": "✗",
    "compensating": "↶",
    "cancelled": "⊘",
    "halted": "■",
    "undoing": "↶",
    "undone": "↶",
    "stuck": "!",
}
ASCII_MARKS = {
    "waiting": ".",
    "running": ">",
    "retrying": "~",
    "succeeded": "+",
    "recovered": "+",
    "skipped": "o",
    "failed": "x",
    "compensating": "<",
    "cancelled": "-",
    "halted": "#",
    "undoing": "<",
    "undone": "<",
    "stuck": "!",
}


def clean(text: object, limit: int = LIMIT) -> str:
    r"""One line that is safe to print: every control, format and surrogate character is spelt out.

    >>> clean("red\x1b[31m\nforged line")
    'red\\x1b[31m\\nforged line'
    >>> clean("abcdef", limit=4)
    'abc…'
    """
    said = str(text)
    return printable(said if len(said) <= limit else f"{said[: limit - 1]}…", limit * 10)


def clean_lines(text: str, most: int = 40) -> list[str]:
    r"""A block of lines, each safe to print; tabs become spaces so that code keeps its shape.

    >>> clean_lines("a\n\tb\x07")
    ['a', '    b\\x07']
    """
    return [clean(line.expandtabs(4)) for line in text.splitlines()[:most]]


def escape_json(encoded: str) -> str:
    r"""JSON text whose strings hold nothing that a terminal obeys; the result is the same JSON value.

    >>> escape_json('"\x9b31m"')
    '"\\u009b31m"'
    """
    if encoded.isascii() and "\x7f" not in encoded:
        return encoded
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in encoded)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def duration(seconds: float) -> str:
    """A span of time for people; `seconds` may be negative where clocks disagree, and counts as none.

    >>> duration(0.0123), duration(2.5), duration(75), duration(7322)
    ('12 ms', '2.5 s', '1:15', '2:02:02')
    """
    spent = max(seconds, 0.0)
    if spent < 1:
        return f"{spent * 1000:.0f} ms"
    if spent < 60:  # noqa: PLR2004 - a minute
        return f"{spent:.1f} s"
    minutes, left = divmod(int(spent), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def marks_for(encoding: str | None) -> dict[str, str]:
    """The marks that this output can carry."""
    try:
        "".join(MARKS.values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_MARKS
    return MARKS


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant.

    >>> nearest("amuont", ["amount", "card"])
    'amount'
    """
    names = list(known)
    folded = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word, names, 1, 0.6) or [
        folded[n] for n in difflib.get_close_matches(word.lower(), list(folded), 1, 0.6)
    ]
    return found[0] if found else None


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a row, shortened where they are many.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(clean(n, 60) for n in names[:most])
    left = len(names) - most
    return f"{shown} and {left} more" if left > 0 else shown
