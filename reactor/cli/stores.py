"""Which store a command means, and opening it: `--store URL`, `REACTOR_STORE`, or the file in the working folder's `.reactor/`.

What only looks never makes a file: a URL with a typing mistake is an error, not an empty list.
"""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reactor.cli.problems import Problem
from reactor.cli.text import clean
from reactor.engine import known_scheme, open_store
from reactor.stores import sqlite_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from reactor.record.store import Store

FOLDER = ".reactor"
DEFAULT = f"sqlite:///{FOLDER}/runs.db"
HARMLESS = frozenset({"namespace", "durability"})  # options of a URL that hold no secret


def store_option(help_text: str) -> Callable[[Any], Any]:
    """`--store`, which a variable may say too: a URL with a password is nothing for an argument that others see."""
    return click.option("--store", "store", metavar="URL", envvar="REACTOR_STORE", help=f"{help_text} (REACTOR_STORE says it too.)")


def is_kept(url: str) -> bool:
    """Whether runs of this store outlive the process.

    >>> is_kept("memory://"), is_kept("sqlite:///runs.db")
    (False, True)
    """
    return not url.startswith("memory:")


def file_of(url: str) -> Path | None:
    """The file of an SQLite URL. Raises ReactorError for a URL that no store answers to.

    >>> file_of("sqlite:///runs.db"), file_of("redis://host")
    (PosixPath('runs.db'), None)
    """
    return Path(sqlite_url.split(url)[0]) if known_scheme(url) == "sqlite" else None


def shown(url: str) -> str:
    """A URL as a message may show it.

    >>> shown("redis://:hunter2@host:6379/0?password=hunter2"), shown("sqlite:///runs.db")
    ('redis://…@host:6379/0', 'sqlite:///runs.db')
    """
    return re.sub(r"//[^/]*@", "//…@", url.partition("?")[0])


def said_again(url: str) -> str:
    """How the next command says the same store, with no password; empty where it means that one unless told otherwise.

    >>> said_again("redis://:hunter2@host:6379/0?namespace=shop&password=hunter2"), said_again(DEFAULT)
    (" --store 'redis://…@host:6379/0?namespace=shop'", '')
    """
    if url == (os.environ.get("REACTOR_STORE") or DEFAULT):
        return ""
    options = "&".join(one for one in url.partition("?")[2].split("&") if one.partition("=")[0] in HARMLESS)
    return f" --store '{clean(shown(url))}{'?' if options else ''}{clean(options)}'"


def make_folder(url: str) -> None:
    """Make the default store's folder, unseen by git. Raises `Problem` where this folder cannot be written."""
    if url != DEFAULT:
        return
    folder = Path(FOLDER)
    try:
        folder.mkdir(exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise Problem(
            f"{FOLDER}/ cannot be made here, to keep the run in: {clean(error.strerror or error)}",
            "fix: name a store that can be written, --store sqlite:////path/runs.db; or --store memory://, which keeps nothing",
            code="store-folder",
        ) from None


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store that is there already, closed behind. Raises `Problem` where there is none, ReactorError where it cannot be had."""
    see_that_it_is_there(url)
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.close()


def see_that_it_is_there(url: str) -> None:
    """Raises `Problem` where nothing can have been kept yet."""
    if not is_kept(url):
        raise Problem(
            "a store in memory ends with its process: there is nothing in it to look at",
            "fix: run with --store sqlite:///runs.db, and name that here",
            code="nothing-kept",
        )
    file = file_of(url)
    if file is not None and not file.exists():
        made = "`reactor run` makes it" if url == DEFAULT else "name the file that the runs were kept in"
        raise Problem(f"no run was kept here yet: there is no file {clean(file)}", f"fix: {made}; or say --store URL", code="no-store")
