"""What the URL of an SQLite store says. It refuses to open anything, and to load SQLite."""

from __future__ import annotations

from urllib.parse import parse_qsl

from reactor.errors import ReactorError


def split(url: str) -> tuple[str, str]:
    """The file in `sqlite:///runs.db` (of the working folder) or `sqlite:////var/runs.db` (absolute), and its `?durability=`.

    Raises ReactorError where it names no file, or says something else. Whether there is such a durability is for the store to say.

    >>> split("sqlite:///runs.db"), split("sqlite:////var/runs.db?durability=full")
    (('runs.db', 'normal'), ('/var/runs.db', 'full'))
    """
    path, _, query = url.removeprefix("sqlite:///").partition("?")
    if not url.startswith("sqlite:///") or not path:
        raise ReactorError(f"{url!r} names no file", code="unknown-store", fix="say `sqlite:///runs.db`, or `sqlite:////var/lib/runs.db`")
    said = dict(parse_qsl(query, keep_blank_values=True))
    durability = said.pop("durability", "normal")
    if said:
        unknown = f"an SQLite store takes no `{min(said)}`"
        raise ReactorError(unknown, code="bad-store-url", known=("durability",), fix="say `?durability=full`, or nothing")
    return path, durability
