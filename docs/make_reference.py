"""Write docs/reference.md from the docstrings, so that there is one truth: `python docs/make_reference.py --write`."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import reactor
from reactor.errors import ReactorError

PAGE = Path(__file__).with_name("reference.md")

GROUPS = {
    "What an author writes": "Reactor step map_over source compose interrupt use Retry Secret Index",
    "Steering from inside": "Skip Halt Fail Continue TryAgain StepError Ask StepContext step_context",
    "What a map leaves": "Results ElementFailure",
    "Driving": "Engine Run Event Page Delivery Status",
    "What a run ends as": "Outcome Succeeded Failed RollbackFailure Parked Waiting Halted Cancelled Undone",
    "Nodes, as types": "Node Step OptionalStep Map Composed OptionalComposed Interrupt Source Bound",
}

SPELT = {  # what has no public name, as a reader can use it
    "_StepOf": "Callable[[Callable[..., Awaitable[T] | T]], Step[T]]",
    "_OptionalStepOf": "Callable[[Callable[..., Awaitable[T] | T]], OptionalStep[T]]",
    "_MapOver[E]": "Callable[[Callable[Concatenate[Any, E, ...], Awaitable[T] | Awaitable[HasOutput[T]]]], Map[T]]",
}

HEAD = """# Reference

Everything that `from reactor import …` gives, made from the docstrings by `python docs/make_reference.py --write`; a test holds it to them.
Errors have [a page of their own](errors.md). In a signature `HasOutput[T]` is a reactor whose output is a T, `Seconds` a number of seconds
or a timedelta.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts += [f"## {title}\n", *(entry(name, getattr(reactor, name)) for name in names.split())]
    return "\n".join(parts)


def listed() -> set[str]:
    """The names that the page has an entry for."""
    return {name for names in GROUPS.values() for name in names.split()}


def entry(name: str, thing: Any) -> str:
    """One name: how it is called, what it says of itself, what it offers."""
    if inspect.isfunction(thing):
        return "\n".join([f"### {name}\n", *signatures(name, thing), prose(thing)])
    if inspect.isclass(thing):
        return "\n".join([f"### {name}\n", *signatures(name, thing), prose(thing), *members(thing)])
    return f"### {name}\n\n`{spelt(thing)}`\n"


def spelt(alias: Any) -> str:
    """A type alias, without the rooms that its parts live in."""
    said = " | ".join(map(repr, typing.get_args(alias))) if typing.get_origin(alias) is typing.Union else repr(alias)
    return re.sub(r"<class '([\w.]+)'>", r"\1", said).replace("~", "").replace("typing.", "").replace("reactor.define.outcomes.", "")


def signatures(name: str, thing: Any) -> list[str]:
    """How it is called; each overload a line."""
    if inspect.isclass(thing) and not constructed(thing):
        return []
    calls = typing.get_overloads(thing) or [thing]
    lines = for_checkers(name, thing) or [f"{name}{signature(call)}" for call in calls]
    return ["```text", *lines, "```\n"]


def for_checkers(name: str, thing: Any) -> list[str]:
    """The signature that only type checkers see, where there is one."""
    tree = ast.parse(Path(inspect.getfile(thing)).read_text(encoding="utf-8"))
    hidden = [
        node for found in tree.body if isinstance(found, ast.If) and ast.unparse(found.test) == "TYPE_CHECKING" for node in found.body
    ]
    calls = [node for node in hidden if isinstance(node, ast.FunctionDef) and node.name == name and node.returns]
    spaced = [re.sub(r"(?<=\w|\])=(?=\S)", " = ", ast.unparse(node.args)) for node in calls]
    return [named(f"{name}({args}) -> {ast.unparse(node.returns)}") for args, node in zip(spaced, calls, strict=True) if node.returns]


def named(said: str) -> str:
    """A signature with names that a reader can import alone."""
    for inner, public in SPELT.items():
        said = said.replace(inner, public)
    return said


def constructed(cls: type) -> bool:
    """Whether an author or caller makes one: what the engine hands out has no say in how it is made."""
    return cls.__name__ in {"Retry", "Skip", "Halt", "Fail", "Continue", "TryAgain", "Ask", "Engine", "Secret", "Index"}


def signature(call: Any) -> str:
    """Parameters and return type, as the source says them."""
    said = re.sub(r"(?<=: |> )'([^']*)'", r"\1", str(inspect.signature(call)))
    said = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", said)
    said = re.sub(r"\b(?:typing|collections\.abc|datetime|reactor\.[\w.]+)\.(?=\w)", "", said)
    return named(said.removesuffix(" -> None") if inspect.isclass(call) else said)


def prose(thing: Any) -> str:
    """The docstring, its examples fenced."""
    text = inspect.getdoc(thing) or ""
    fenced = re.sub(r"(?:^>>> .*\n?(?:^(?!\n).+\n?)*)+", lambda m: f"```pycon\n{m[0].rstrip()}\n```\n", text + "\n", flags=re.MULTILINE)
    return fenced.strip() + "\n"


def members(cls: type) -> list[str]:
    """Public fields, properties and methods of its own, a line each."""
    lines = []
    for name, _, doc in sorted(own(cls), key=lambda found: found[1] == "method"):
        lines.append(f"- `{name}`" + (f": {doc}" if doc else ""))
    return [*lines, ""] if lines else []


def own(cls: type) -> list[tuple[str, str, str]]:
    """(spelling, kind, first line of the docstring) of what a class declares."""
    found = [(field.name, "field", "") for field in fields(cls)] if is_dataclass(cls) else []
    for name, thing in vars(cls).items():
        plain = thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing
        first = (inspect.getdoc(plain) or "").split("\n\n")[0].replace("\n", " ")
        if name.startswith("_"):
            continue
        if isinstance(plain, FunctionType):
            awaited = "await " if inspect.iscoroutinefunction(plain) else ""
            for one in typing.get_overloads(plain) or [plain]:
                call = re.sub(r"\((?:self|cls)(?:, )?", "(", signature(one), count=1)
                found.append((f"{awaited}{name}{call}", "method", first))
        elif isinstance(plain, property):
            found.append((name, "property", first))
    return found


def forgotten() -> set[str]:
    """Public names that stand in no group: errors aside, which docs/errors.md has."""
    things = {name: getattr(reactor, name) for name in reactor.__all__}
    errors = {name for name, thing in things.items() if inspect.isclass(thing) and issubclass(thing, ReactorError)}
    return things.keys() - errors - listed()


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
