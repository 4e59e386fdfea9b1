"""The code that runs are driven by: `--app module:engine-or-Class`, or `[tool.reactor] app` in the folder's pyproject.toml.

A class is served by an engine of the command's own, over the command's store; an engine has its store with it.
"""

from __future__ import annotations

import importlib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reactor.cli.problems import Problem
from reactor.cli.stores import DEFAULT
from reactor.cli.targets import load_any
from reactor.cli.text import clean, listed
from reactor.define.reactor import Reactor, definition_of
from reactor.engine import Engine
from reactor.record.sealing import Sealer, keys_from

if TYPE_CHECKING:
    from collections.abc import Sequence

FORM = "APP is package.module:name or path/file.py:name, of a Reactor class or an Engine"


def app_option(command: Any) -> Any:
    """`--app` and `--plain-secrets`."""
    plain = click.option("--plain-secrets", is_flag=True, help="Take secrets that are not sealed; REACTOR_KEYS holds keys that seal them.")
    app = click.option(
        "--app", metavar="MODULE:NAME", help="The code: a Reactor class, or an Engine; else `app` of [tool.reactor] in pyproject.toml."
    )
    return app(plain(command))


@dataclass(frozen=True)
class App:
    """Which code there is: `engine` where the author made one. `said` is how it was named."""

    said: str
    reactors: tuple[type[Reactor], ...]
    engine: Engine | None = None

    def serving(self, name: str) -> type[Reactor]:
        """The class whose runs have this reactor's name. Raises `Problem` where none has."""
        known: list[str] = []
        for cls in self.reactors:
            definition = definition_of(cls)
            if name in (definition.name, *definition.aliases):
                return cls
            known.append(definition.name)
        raise Problem(
            f"{clean(self.said)} does not serve {clean(name)}, whose run this is",
            f"it serves: {listed(known) or 'no reactor'}",
            f"fix: --app module:{clean(name)}, or add it to the engine's `reactors`",
            code="not-served",
        )


def named_app(said: str | None) -> App | None:
    """The app that was named, here or in pyproject.toml, imported; None where none was. Raises `Problem` where it is none."""
    said = said or _from_pyproject()
    return None if said is None else load_app(said)


def needed_app(said: str | None, what: str) -> App:
    """The same where there is no way without. Raises `Problem`."""
    app = named_app(said)
    if app is None:
        raise Problem(
            f"to {what}, the code of its reactor is needed",
            FORM,
            'fix: --app shop:Checkout, or in pyproject.toml: [tool.reactor] app = "shop:Checkout"',
            code="no-app",
        )
    return app


def load_app(said: str) -> App:
    """Import what was named. Raises `Problem`."""
    found = load_any(said)
    if isinstance(found, type) and issubclass(found, Reactor) and found is not Reactor:
        return App(said, (found,))
    if isinstance(found, Engine):
        return App(said, found.wiring.reactors, found)
    kind = f"the class {clean(found.__name__, 60)}" if isinstance(found, type) else f"an object of type {clean(type(found).__name__, 60)}"
    raise Problem(f"{clean(said)} is {kind}", FORM, "fix: name a Reactor class, or an Engine with its `reactors`", code="not-an-app")


def _from_pyproject() -> str | None:
    file = Path("pyproject.toml")
    if not file.is_file():
        return None
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("reactor", {}).get("app")
    except (OSError, ValueError) as error:
        raise Problem(
            f"pyproject.toml cannot be read: {clean(error)}", "fix: mend it, or say --app module:Class", code="bad-pyproject"
        ) from None
    if said is None or isinstance(said, str):
        return said
    raise Problem(
        f"`app` of [tool.reactor] in pyproject.toml is {clean(said)!r}, no text", 'fix: app = "shop:Checkout"', code="bad-pyproject"
    )


# ---- engines and their stores -------------------------------------------------------------------------------------


def store_of(app: App | None, said: str | None) -> str:
    """The URL of the store that a command means. Raises `Problem` where an engine's own and the one that was said differ."""
    if app is None or app.engine is None:
        return said or DEFAULT
    own = app.engine.wiring.url
    if said is not None and said != own:
        raise Problem(f"{clean(app.said)} is an engine with a store of its own", "fix: leave out --store (and REACTOR_STORE)", code="usage")
    return own


def engine_for(app: App, url: str, *, plain_secrets: bool, observers: Sequence[Any] = ()) -> Engine:
    """An engine to be opened: the author's, or one that drives what it is asked to, and nothing else."""
    if app.engine is not None:
        return app.engine
    return Engine(url, reactors=app.reactors, observers=observers, sweep=False, keys=keys(), plain_secrets=plain_secrets)


def sealer_for(app: App | None = None) -> Sealer:
    """Who opens what is secret in a record, so that it can be masked: the author's engine, or the keys of REACTOR_KEYS."""
    if app is not None and app.engine is not None:
        return app.engine.wiring.sealer
    given = keys()
    return Sealer(given, plain=True, cipher=importlib.import_module("reactor.record.aesgcm").AesGcm if given else None)


def keys() -> tuple[bytes, ...]:
    """The keys of REACTOR_KEYS. Raises ReactorError for what is none."""
    return keys_from(os.environ.get("REACTOR_KEYS", ""))
