"""From `package.module:Class` or `path/file.py:Class` to the reactor class, or a `Problem` that says what to mend.

The working directory is importable, as with uvicorn. A file is imported as a module under its own name (dotted where it lies
in a package), so that annotations in it resolve. This room refuses to know what is done with the class.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from reactor.cli.problems import Problem, teach
from reactor.cli.text import clean, listed
from reactor.define.reactor import Reactor
from reactor.errors import ReactorError

if TYPE_CHECKING:
    from types import ModuleType

FORM = "TARGET is package.module:Class or path/file.py:Class"


def load(target: str) -> type[Reactor]:
    """The class that TARGET names.

    Raises `Problem` (exit code 2) where there is none, the module cannot be imported, or it is not a reactor.
    """
    place, name = _split(target)
    here = str(Path.cwd())
    _load_backend(here)
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(place)
    if not name:
        raise Problem(f"{clean(target)} names no class", *_choices(module, place), code="unknown-target")
    return _class(module, place, name)


def _load_backend(here: str) -> None:
    """Let anyio import what it imports when first used, before a module of the author's can stand in the way of Python's own."""
    kept = sys.path[:]
    sys.path[:] = [path for path in kept if path not in ("", here)]
    try:
        asyncio.run(_touch())
    finally:
        sys.path[:] = kept


async def _touch() -> None:
    with anyio.CancelScope():  # noqa: ASYNC100  # making it is the point
        pass


def _split(target: str) -> tuple[str, str]:
    place, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name or os.sep in name:  # a bare place, or a drive letter's colon
        place, name = target, ""
    if not place:
        raise Problem(f"{clean(target)!r} names no module", FORM, "fix: reactor run app.py:Checkout order_id=7", code="unknown-target")
    return place, name


def _imported(place: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or os.sep in place
    path = _file(place) if is_file else None
    try:
        return _import_file(path) if path else _import(place)
    except ReactorError:
        raise  # it says code, place and fix already
    except SyntaxError as error:
        raise _syntax(error) from None
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if path is None and (place == missing or place.startswith(f"{missing}.")):
            raise _unknown_module(place, missing) from None
        raise _broken(place, error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's module may raise anything while it is imported
        raise _broken(place, error) from None


def _import(name: str) -> ModuleType:
    return importlib.import_module(name)  # the author's choice: `live` aside, nothing else in this package is imported by name


# ---- a file -----------------------------------------------------------------------------------------------------


def _file(place: str) -> Path:
    path = Path(place)
    if path.is_file() and path.suffix == ".py":
        return path.resolve()
    if path.is_dir():
        raise Problem(f"{clean(place)} is a directory", FORM, *_files(path, ""), code="unknown-target")
    if path.is_file():
        raise Problem(f"{clean(place)} is not a Python file", FORM, code="unknown-target")
    folder = path.parent
    if not folder.is_dir():
        raise Problem(f"there is no file {clean(place)}", f"there is no directory {clean(folder)} either", code="unknown-target")
    raise Problem(f"there is no file {clean(place)}", *_files(folder, path.name), code="unknown-target")


def _files(folder: Path, name: str) -> list[str]:
    known = sorted(entry.name for entry in folder.glob("*.py"))
    where = "here" if folder == Path() else f"in {clean(folder)}"
    return teach(name, known, f"Python files {where}") or [f"no Python file is {where}"]


def _import_file(path: Path) -> ModuleType:
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file() and root.parent != root:  # a file of a package: relative imports must work
        parts.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    parent = ".".join(parts[:-1])
    if parent:
        _import(parent)
    name = ".".join(parts)
    if name in sys.modules or name in sys.stdlib_module_names:  # never put an author's `types.py` in place of Python's
        loaded = sys.modules.get(name)
        if loaded is not None and _same_file(loaded, path):
            return loaded
        name = f"_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - a .py file always has a loader
        raise Problem(f"{clean(path)} cannot be imported", code="unknown-target")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and msgspec look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _same_file(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


# ---- what can be wrong with a module --------------------------------------------------------------------------


def _unknown_module(place: str, missing: str) -> Problem:
    parent, _, last = missing.rpartition(".")
    paths = list(sys.modules[parent].__path__) if parent in sys.modules and hasattr(sys.modules[parent], "__path__") else None
    known = sorted(m.name for m in pkgutil.iter_modules(paths or [str(Path.cwd())]))
    what = f"modules in {clean(parent)}" if parent else "modules in this directory"
    lines = teach(last, known, what)
    if Path(f"{place}.py").is_file():
        lines.append(f"to run a file: {clean(place)}.py:Class")
    return Problem(f"there is no module {clean(missing)}", *lines, f"looked on sys.path and in {clean(Path.cwd())}", code="unknown-target")


def _syntax(error: SyntaxError) -> Problem:
    where = f"{short(error.filename or '?')}:{error.lineno or 0}"
    lines: list[str] = []
    code = (error.text or "").rstrip("\n")
    if code.strip():
        stripped = code.lstrip()
        lines.append(f"    {clean(stripped.rstrip())}")
        column = max((error.offset or 1) - 1 - (len(code) - len(stripped)), 0)
        lines.append("    " + " " * column + "^")
    return Problem(f"{where}: {clean(error.msg)}", *lines, code="syntax-error")


def _broken(place: str, error: BaseException) -> Problem:
    frame = author_frame(error)
    where = [f"at {short(frame.filename)}:{frame.lineno} in {clean(frame.name)}", f"    {clean(frame.line or '')}"] if frame else []
    if isinstance(error, ModuleNotFoundError):
        missing = clean(error.name or error)
        return Problem(
            f"{clean(place)} needs the module {missing}, which is not installed",
            *where,
            f"fix: pip install {missing}, or mend the import",
            code="import-failed",
        )
    said = "sys.exit" if isinstance(error, SystemExit) else type(error).__name__
    return Problem(f"{clean(place)} could not be imported: {said}: {clean(error)}", *where, code="import-failed")


def author_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost frame of the author's code: not of the import system, of this package or of what is installed."""
    ours = str(Path(__file__).resolve().parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    shown = [f for f in frames if not f.filename.startswith(("<frozen", ours)) and f.filename != importlib.__file__]
    authors = [f for f in shown if "site-packages" not in f.filename and f.filename != importlib.util.__file__]
    candidates = authors or shown
    return candidates[-1] if candidates else None


def short(file: str) -> str:
    """A path as people say it: relative where it lies below the working directory."""
    path = Path(file)
    try:
        return clean(path.relative_to(Path.cwd()))
    except ValueError:
        return clean(path)


# ---- the class --------------------------------------------------------------------------------------------------


def _reactors(module: ModuleType) -> list[str]:
    """The reactors that a module holds, its own first."""
    found = {n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Reactor) and v is not Reactor}
    own = [n for n, v in found.items() if v.__module__ == module.__name__]
    return own or list(found)


def _choices(module: ModuleType, place: str) -> list[str]:
    names = _reactors(module)
    if not names:
        return [f"{clean(place)} defines no reactor", FORM]
    return [f"known: {listed(names)}", f"fix: say {clean(place)}:{clean(names[0])}"]


def _class(module: ModuleType, place: str, name: str) -> type[Reactor]:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            lines = teach(name, _reactors(module)) or [f"{clean(place)} defines no reactor"]
            raise Problem(f"{clean(place)} has no {clean(name)}", *lines, code="unknown-target")
        found = getattr(found, part)
    if isinstance(found, type) and issubclass(found, Reactor) and found is not Reactor:
        return found
    kind = f"a class that is not a Reactor (bases: {listed([b.__name__ for b in found.__bases__])})" if isinstance(found, type) else ""
    said = kind or f"an object of type {clean(type(found).__name__, 60)}"
    if found is Reactor:
        said = "the base class itself"
    raise Problem(f"{clean(place)}:{clean(name)} is {said}", *_choices(module, place), code="not-a-reactor")
