"""What makes an error teach: where in the author's file it was said, and which known name is nearest.

This room refuses to know what went wrong. Spans are cheap to make; looking into the source file is left to the moment of an error.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import linecache
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor.define.definition import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType

NOWHERE = Span("<unknown>", 0, 0)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one.

    >>> nearest("pricee", ["price", "reserve"])
    'price'
    """
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def span_of(fn: Callable[..., Any]) -> Span:
    """The lines of an author's function, its decorators included; of a wrapped one, those of the innermost."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if code is None:
        return NOWHERE
    return Span(code.co_filename, code.co_firstlineno, _last_line(code))


def _last_line(code: CodeType) -> int:
    return max(line or 0 for _, _, line in code.co_lines())


def author_frame() -> FrameType | None:
    """The nearest frame outside this package: whoever called us."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to ask who calls
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def _is_ours(module: str) -> bool:
    return module == "reactor" or module.startswith("reactor.")


def said_before(name: str) -> Any:
    """What the class body that is being performed already says under this name, None if nothing."""
    frame = author_frame()
    return frame.f_locals.get(name) if frame is not None and "__qualname__" in frame.f_locals else None


def author_span() -> Span:
    """The author's line that is being performed."""
    frame = author_frame()
    return NOWHERE if frame is None else Span(frame.f_code.co_filename, frame.f_lineno, frame.f_lineno)


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of the author's, looked up in the file only when an error asks for it."""

    find: Callable[[], Span]

    @property
    def file(self) -> str:
        """The path."""
        return self.find().file

    @property
    def line(self) -> int:
        """From 1."""
        return self.find().line


def def_span(fn: Callable[..., Any]) -> Spot:
    """The line of the `def` itself, below its decorators; where the source is not at hand, the first line."""
    return Spot(lambda: _found(fn, lambda node: isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)))


def parameter_span(fn: Callable[..., Any], name: str) -> Spot:
    """The line of one parameter; where the source is not at hand, the function's."""
    return Spot(lambda: _found(fn, lambda node: isinstance(node, ast.arg) and node.arg == name))


def header_names(fn: Callable[..., Any], parameter: str | None) -> set[str] | None:
    """The names that a parameter's default says, or (None) those that the decorators say; None where the source is not at hand."""
    tree = _parsed(span_of(fn))
    made = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)), None) if tree else None
    if made is None:
        return None
    said = made.decorator_list if parameter is None else _defaults_of(made.args, parameter)
    inside = [node for one in said for node in ast.walk(one)]
    return {node.id for node in inside if isinstance(node, ast.Name)} | {node.attr for node in inside if isinstance(node, ast.Attribute)}


def _defaults_of(takes: ast.arguments, name: str) -> list[ast.expr]:
    placed = [*takes.posonlyargs, *takes.args]
    pairs = [*zip(reversed(placed), reversed(takes.defaults), strict=False), *zip(takes.kwonlyargs, takes.kw_defaults, strict=True)]
    return [default for taken, default in pairs if taken.arg == name and default is not None]


def line_of_field(span: Span, name: str) -> Spot:
    """The line in a class body that declares `name`; where the source is not at hand, the class's."""
    return Spot(lambda: _field(span, name))


def _field(span: Span, name: str) -> Span:
    for line in range(span.line, span.line + 400):
        text = linecache.getline(span.file, line)
        if text.lstrip().startswith((f"{name}:", f"{name} :", f"{name} =", f"{name}=")):
            return Span(span.file, line, line)
    return span


def _found(fn: Callable[..., Any], wanted: Callable[[ast.AST], bool]) -> Span:
    span = span_of(fn)
    tree = _parsed(span)
    for node in ast.walk(tree) if tree is not None else ():
        if wanted(node):
            line = span.line + getattr(node, "lineno", 1) - 1
            return Span(span.file, line, span.end_line)
    return span


def _parsed(span: Span) -> ast.AST | None:
    lines = [linecache.getline(span.file, line) for line in range(span.line, span.end_line + 1)]
    try:
        return ast.parse(textwrap.dedent("".join(lines)))
    except SyntaxError:
        return None
