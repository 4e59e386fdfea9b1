"""What an engine was made of, as whoever looks at its runs without opening it needs to know it: the command line, a dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reactor.define.reactor import Reactor
    from reactor.record.sealing import Sealer


class Wiring(NamedTuple):
    """`url` names the store, `reactors` are those that are driven, `sealer` opens what is secret in a record."""

    url: str
    reactors: tuple[type[Reactor], ...]
    sealer: Sealer
