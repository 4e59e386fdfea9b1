"""Where the annotations of one class body are looked up, and what they mean once they resolve.

A frame is kept only where an annotation does not resolve when its class is made (it names the class itself, one below, a local of a
test), and only until it does. This room refuses to know what an annotation is for.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any

from reactor.define.teaching import nearest
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from reactor.define.definition import Span


class Unresolved(Exception):
    """An annotation names something that is not there (yet)."""

    def __init__(self, name: str, of: str, where: Span, visible: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.of = of
        self.where = where
        self.visible = visible

    def as_error(self) -> DefinitionError:
        """What it is where it was needed."""
        near = nearest(self.name, self.visible)
        return DefinitionError(
            f"an annotation of {self.of} names `{self.name}`, which is not there",
            code="unresolved-annotation",
            where=self.where,
            nearest=near,
            fix=f"import `{self.name}` at run time (not under TYPE_CHECKING), or define it before the reactor is first used",
        )


class Scope:
    """The names that one class body sees."""

    def __init__(self, cls: type[Any], frame: FrameType | None) -> None:
        self._cls = cls
        self._frame = frame if frame is not None and frame.f_locals is not frame.f_globals else None
        self._hints: dict[int, dict[str, Any]] = {}

    def hints_of(self, fn: Callable[..., Any], of: str, where: Span) -> dict[str, Any]:
        """The annotations of an author's function, as types. Raises Unresolved."""
        found = self._hints.get(id(fn))
        if found is None:
            found = self._hints[id(fn)] = self._resolve(fn, getattr(fn, "__globals__", {}), of, where)
        return found

    def fields(self, where: Span) -> dict[str, Any]:
        """The annotated names of the class body itself, as types. Raises Unresolved."""
        found = self._hints.get(0)
        if found is None:
            raw = inspect.get_annotations(self._cls)
            alone = type(self._cls.__name__, (), {"__annotations__": raw, "__module__": self._cls.__module__})
            found = self._hints[0] = self._resolve(alone, self._globals(), f"`{self._cls.__name__}`", where)
        return found

    def resolved(self) -> None:
        """All is known: let go of the frame."""
        self._frame = None

    def _globals(self) -> dict[str, Any]:
        import_name = self._cls.__module__
        module = sys.modules.get(import_name)
        return dict(vars(module)) if module is not None else {}

    def _resolve(self, annotated: Any, globalns: dict[str, Any], of: str, where: Span) -> dict[str, Any]:
        names = self._names(annotated, globalns)
        try:
            return typing.get_type_hints(annotated, globalns, names, include_extras=True)
        except NameError as error:
            missing = error.name or str(error)
        except AttributeError as error:
            missing = f"….{error.name}"
        except (SyntaxError, TypeError) as error:
            raise DefinitionError(
                f"an annotation of {of} is no type: {error}", code="annotation-not-a-type", where=where, fix="annotate with a type"
            ) from None
        raise Unresolved(missing, of, where, [*names, *globalns, *(name for name, value in vars(builtins).items() if isinstance(value, type))])

    def _names(self, annotated: Any, globalns: dict[str, Any]) -> dict[str, Any]:
        names = {k: v for k, v in vars(self._cls).items() if k not in globalns and not hasattr(builtins, k)}
        if self._frame is not None:
            names.update(self._frame.f_locals)
        code, cells = getattr(annotated, "__code__", None), getattr(annotated, "__closure__", None)
        for name, cell in zip(code.co_freevars, cells, strict=True) if code is not None and cells else ():
            try:
                names[name] = cell.cell_contents
            except ValueError:
                continue  # not assigned yet
        names.setdefault(self._cls.__name__, self._cls)
        return names
