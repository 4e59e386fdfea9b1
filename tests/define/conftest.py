"""How every refusal is held to teach: its code, the author's file and line, the nearest name, the known set and the fix."""

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from reactor.errors import DefinitionError, ReactorError

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def refuses() -> Refuses:
    """Use it as a context: the block must raise an error that says all of it; `line` is part of the author's line."""

    @contextmanager
    def expecting(
        *,
        code: str,
        line: str | None,
        fix: str,
        nearest: str | None = None,
        known: str | None = None,
        what: str = "",
        kind: type[ReactorError] = DefinitionError,
    ) -> Iterator[None]:
        author = sys._getframe(2).f_code.co_filename
        with pytest.raises(kind) as caught:
            yield
        error = caught.value
        assert (error.code, error.nearest) == (code, nearest), error
        assert what in error.what, error
        assert fix in (error.fix or ""), error
        if known is not None:
            assert known in error.known, error
        if line is not None:
            assert error.where is not None, error
            assert error.where.file == author, error
            assert line in linecache.getline(author, error.where.line), error
        told = str(error)
        assert f"[{code}]" in told
        assert "fix:" in told

    return expecting
