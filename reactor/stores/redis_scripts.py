"""The scripts of `redis://…`, as the server knows them: each is what it says in `lua/`, behind the parts that it shares with others."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

SHARED = {  # which parts a script stands on, besides `common`
    "create": ("making", "reading"),
    "deliver": ("leaving",),
    "load": ("reading",),
    "old": ("lapsing",),
    "peek": ("lapsing",),
}
NAMES = (
    *("append", "claim", "close_session", "close_wait", "create", "deliver", "drop", "free_wait", "held", "keep_early", "load", "mail"),
    *("namespace", "note_wait", "now", "old", "once", "open_wait", "peek", "refuse", "rows", "session", "unclaim"),
)


class Script:
    """A script: its name here, its text, and the digest by which a server that has seen it calls it."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


def load_scripts() -> dict[str, Script]:
    """All of them, by name.

    >>> sorted(load_scripts())[:3]
    ['append', 'claim', 'close_session']
    """
    folder = files("reactor.stores") / "lua"
    return {
        name: Script(name, "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts_of(name))) for name in NAMES
    }


def parts_of(name: str) -> tuple[str, ...]:
    """The files of a script, in their order. The plain case of an append comes first: it stands on nothing.

    >>> parts_of("load")
    ('common', 'reading', 'load')
    """
    if name == "append":
        return "append", "common", "making", "leaving", "append_more"
    return "common", *SHARED.get(name, ()), name
