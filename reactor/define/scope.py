"""Where the annotations of one class body are looked up, and what they mean once they resolve.

A frame is kept only where an annotation does not resolve when its class is made (it names the class itself, one below, a local of a
test), and only until it does. This room refuses to know what an annotation is for.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reactor.define.teaching import nearest
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from reactor.errors import Place


class Unresolved(Exception):
    """An annotation names something that is not there (yet)."""

    def __init__(self, name: str, of: str, where: Place, visible: list[str]) -> None:
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

    def hints_of(self, fn: Callable[..., Any], of: str, where: Place) -> dict[str, Any]:
        """The annotations of an author's function, as types. Raises Unresolved."""
        found = self._hints.get(id(fn))
        if found is None:
            found = self._hints[id(fn)] = self._resolve(fn, getattr(fn, "__globals__", {}), of, where)
        return found

    def fields(self, where: Place) -> dict[str, Any]:
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

    def _resolve(self, annotated: Any, globalns: dict[str, Any], of: str, where: Place) -> dict[str, Any]:
        names = _Names(self._cls, self._frame, annotated, globalns)
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
        visible = [*names, *globalns, *(name for name, value in vars(builtins).items() if isinstance(value, type))]
        raise Unresolved(missing, of, where, visible)


class _Names(Mapping[str, Any]):
    """What an annotation may name beyond its module: closed-over names, locals around the class, the class, its body."""

    def __init__(self, cls: type[Any], frame: FrameType | None, annotated: Any, globalns: dict[str, Any]) -> None:
        self._cls = cls
        self._locals = frame.f_locals if frame is not None else {}
        self._cells = _cells(annotated)
        self._globals = globalns

    def __getitem__(self, name: str) -> Any:
        for names in (self._cells, self._locals):
            if name in names:
                return names[name]
        if name == self._cls.__name__:
            return self._cls
        if name in self._globals or hasattr(builtins, name):
            raise KeyError(name)  # looked up there next: a step named `date` must not hide the type
        return vars(self._cls)[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**vars(self._cls), self._cls.__name__: self._cls, **self._locals, **self._cells})

    def __len__(self) -> int:
        return len(list(iter(self)))


def _cells(annotated: Any) -> dict[str, Any]:
    code, cells = getattr(annotated, "__code__", None), getattr(annotated, "__closure__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, cells, strict=True) if code is not None and cells else ():
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    return found
