"""An exception, while it is alive, made into what is recorded of it; and which word of the author's it speaks.

Only what the author can use is kept: his own frames, the lines around the innermost, the call's arguments shortened. Secrets are
masked wherever they stand.
"""

from __future__ import annotations

import linecache
import os
import reprlib
import sysconfig
import traceback
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.failing import Failure, Frame, lineage_of
from reactor.define.outcomes import Fail, Halt, Skip
from reactor.define.problems import MASK, leaves_of
from reactor.define.reactor import inputs_of, values_of
from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120  # compared with co_filename
INSTALLED = tuple({sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib")})
LIBRARIES = (*INSTALLED, *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")}, "<frozen")
FRAMES = 30
LONG = 2000  # characters of a message
SHOWN = 200  # characters of an argument


def exceptions_in(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, at any depth; of any other exception, itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from exceptions_in(one)
    else:
        yield error


def speaks(error: BaseException) -> BaseException:
    """The exception that counts: Halt, then Fail, then others, then Skip."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = list(exceptions_in(error))
    for kind in (Halt, Fail):
        for one in found:
            if isinstance(one, kind):
                return one
    return error if any(not isinstance(one, Skip) for one in found) else found[0]


def failure_of(error: BaseException, attempt: int, arguments: dict[str, Any] | None = None, secrets: Sequence[str] = ()) -> Failure:
    """What is recorded of an exception."""
    frames = tuple(_frames(error.__traceback__)[-FRAMES:])
    only = _only(error)
    failure = Failure(
        kind=type(only).__name__,
        message=_text(only, secrets),
        lineage=tuple(dict.fromkeys(name for one in (only, *exceptions_in(error)) for name in lineage_of(type(one)))),
        attempt=attempt,
        frames=frames,
        notes=_notes(error, secrets),
        arguments={name: shown(value, secrets) for name, value in (arguments or {}).items()},
        code=error.code if isinstance(error, ReactorError) else "",
        snippet=_snippet(frames[-1]) if frames else "",
    )
    return mask(failure, secrets) if secrets else failure


def secret_texts(reactor: Any) -> tuple[str, ...]:
    """The texts that a reactor's secret inputs would show as, and those as a repr writes them, longest first."""
    values = values_of(reactor)
    found = {text for name in inputs_of(type(reactor)).secrets for text in leaves_of(values[name])}
    return tuple(sorted(found | {repr(text)[1:-1] for text in found}, key=len, reverse=True))


def blotted(text: str, secrets: Sequence[str]) -> str:
    """The text with every secret value blotted out."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def mask(failure: Failure, secrets: Sequence[str]) -> Failure:
    """The failure with every secret value blotted out."""
    blot = partial(blotted, secrets=secrets)
    return msgspec.structs.replace(
        failure,
        message=blot(failure.message),
        notes=tuple(map(blot, failure.notes)),
        arguments={name: blot(text) for name, text in failure.arguments.items()},
        snippet=blot(failure.snippet),
        frames=tuple(msgspec.structs.replace(frame, code=blot(frame.code)) for frame in failure.frames),
    )


def _only(error: BaseException) -> BaseException:
    """A group of one is its one."""
    found = list(exceptions_in(error))
    return found[0] if len(found) == 1 else error


def _text(error: BaseException, secrets: Sequence[str]) -> str:
    try:
        text = str(error)
        if isinstance(error, BaseExceptionGroup):
            text = f"{text}: " + "; ".join(f"{type(one).__name__}: {one}" for one in exceptions_in(error))
    except Exception as broken:  # noqa: BLE001  # an author's __str__ may do anything
        text = f"its text cannot be made: {type(broken).__name__}"
    text = blotted(text, secrets)  # before it is cut, or half a secret would be left
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def _notes(error: BaseException, secrets: Sequence[str]) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return ()
    return tuple(blotted(note, secrets) if isinstance(note, str) else shown(note, secrets) for note in notes)


class _Short(reprlib.Repr):
    """A repr that never looks at more than it shows, and shows no secret: an argument may be large."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = secrets
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxset = 3, 6, 6, 6, 6
        self.maxstring = self.maxother = SHOWN

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, str):
            return super().repr1(blotted(x, self._secrets), level)
        fields = getattr(type(x), "__struct_fields__", None) or getattr(type(x), "__dataclass_fields__", None)
        if isinstance(x, type) or (fields is None and not hasattr(self, f"repr_{type(x).__name__}")):
            text = blotted(repr(x), self._secrets)
            return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        if fields is None:
            return super().repr1(x, level)
        if level <= 0:
            return f"{type(x).__name__}(…)"
        said = [f"{name}={self.repr1(getattr(x, name, '?'), level - 1)}" for name in islice(fields, 6)]
        return f"{type(x).__name__}({', '.join(said)}{', …' if len(fields) > len(said) else ''})"


def shown(value: Any, secrets: Sequence[str] = ()) -> str:
    """A short repr of any value, whatever its own repr does."""
    try:
        text = _Short(secrets).repr(value)
    except Exception as broken:  # noqa: BLE001  # an author's __repr__ may do anything
        text = f"<{type(value).__name__}: its repr raised {type(broken).__name__}>"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _frames(trace: TracebackType | None) -> list[Frame]:
    """The author's frames: not ours, not the standard library's, nor a library's that his code called."""
    found = [
        Frame(code.co_filename, line, code.co_name, linecache.getline(code.co_filename, line, frame.f_globals).strip())
        for frame, line in traceback.walk_tb(trace)
        if not (code := frame.f_code).co_filename.startswith(OURS)
    ]
    if not found:
        return []
    home = _package_of(found[0].file)  # the step's own: it may be installed beside the libraries
    return [frame for frame in found if not frame.file.startswith(LIBRARIES) or (home and frame.file.startswith(home))] or found


def _package_of(file: str) -> str:
    for library in INSTALLED:
        if file.startswith(library):
            return library + file[len(library) :].partition(os.sep)[0]
    return ""


def _snippet(frame: Frame) -> str:
    around = range(max(1, frame.line - 2), frame.line + 3)
    lines = {number: linecache.getline(frame.file, number).rstrip() for number in around}
    return "\n".join(f"{'>' if number == frame.line else ' '} {number:4} {text}" for number, text in lines.items() if text)
