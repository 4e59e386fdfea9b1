"""When to try a failed call again: pure arithmetic on tenacity's strategies, whose loop is never entered.

Asked where the exception is alive; the answer is recorded. This room refuses to know clocks, sleep and dice: elapsed seconds and
the draw for the jitter come in from the runner.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, get_args

import tenacity

from reactor.define.outcomes import Fail
from reactor.define.seconds import Seconds, as_seconds
from reactor.define.teaching import author_span, nearest
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Backoff = Literal["exponential", "linear", "fixed"]

DEFAULT_ATTEMPTS = 3


class Retry:
    """When to try a failed step again. `wait`, `stop` and `when` take tenacity's own strategies too.

    `attempts` counts the first call. The nth wait is, in seconds, `base * 2**(n-1)` (exponential), `base * n` (linear) or `base`
    (fixed), at most `max_wait`; with `jitter` a random part of the upper half of it is taken off, so that many do not come back at
    once. `on` is looked for inside exception groups too. `wait` replaces the backoff, `stop` the attempts; `when` must hold as well as
    `on`. A `Fail(retryable=False)` gives up at once; a `Fail(retryable=True)` is tried again whatever `on` and `when` say.

    >>> Retry(4, jitter=False).next_wait(3, OSError(), elapsed_seconds=3.1)
    4.0
    >>> Retry(4).next_wait(4, OSError(), elapsed_seconds=8.0) is None
    True

    Raises DefinitionError for options out of range, and for async predicates.
    """

    __slots__ = ("_policy", "attempts", "backoff", "base", "jitter", "max_wait", "on", "stop", "wait", "when")

    def __init__(  # noqa: PLR0913 - the face's words; all but one are by keyword
        self,
        attempts: int = DEFAULT_ATTEMPTS,
        *,
        backoff: Backoff = "exponential",
        base: Seconds = 1.0,
        max_wait: Seconds = 60.0,
        jitter: bool = True,
        on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        wait: object | None = None,
        stop: object | None = None,
        when: object | None = None,
    ) -> None:
        self.attempts = _count(attempts, stop)
        self.backoff = _known_backoff(backoff)
        self.base = as_seconds(base, "base", zero=True)
        self.max_wait = as_seconds(max_wait, "max_wait", zero=True)
        self.jitter = jitter
        self.on = _exceptions(on)
        self.wait = _strategy("wait", wait)
        self.stop = _strategy("stop", stop)
        self.when = _strategy("when", when)
        self._policy = tenacity.AsyncRetrying(
            wait=self.wait or _waits(self.backoff, self.base, self.max_wait),
            stop=self.stop or tenacity.stop_after_attempt(attempts),
            retry=self._wanted,
        )

    def next_wait(
        self, attempt: int, exception: BaseException, elapsed_seconds: float = 0.0, jitter_draw: float | None = None
    ) -> float | None:
        """How many seconds to wait before the next call; None to give up.

        `attempt` is the one that failed, from 1; `elapsed_seconds` since the first began; `jitter_draw` is a draw from [0, 1), None for
        the whole wait. Raises DefinitionError where a strategy turns out to be async.
        """
        state = tenacity.RetryCallState(self._policy, fn=None, args=(), kwargs={})
        state.attempt_number = attempt
        state.start_time = 0.0
        state.set_exception((type(exception), exception, exception.__traceback__))
        state.outcome_timestamp = elapsed_seconds
        if not _sync("when", self._policy.retry(state)):
            return None
        wait = float(_sync("wait", self._policy.wait(state)))
        if self.jitter and self.wait is None and jitter_draw is not None:
            wait *= 1.0 - jitter_draw / 2
        state.upcoming_sleep = wait  # before stop: stop_before_delay reads it
        return None if _sync("stop", self._policy.stop(state)) else wait

    def _wanted(self, state: tenacity.RetryCallState) -> bool:
        exception = state.outcome.exception() if state.outcome is not None else None
        leaves = list(_leaves(exception)) if exception is not None else []
        fails = [leaf for leaf in leaves if isinstance(leaf, Fail)]
        if fails:
            return all(leaf.retryable for leaf in fails)
        if not (isinstance(exception, self.on) or any(isinstance(leaf, self.on) for leaf in leaves)):
            return False
        return self.when is None or bool(_sync("when", self.when(state)))

    def _said(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__ if name != "_policy")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash((self.attempts, self.backoff, self.base))

    def __repr__(self) -> str:
        return f"Retry({self.attempts}, backoff={self.backoff!r}, base={self.base:g}, max_wait={self.max_wait:g}, on={_named(self.on)})"


def _leaves(exception: BaseException) -> Iterator[BaseException]:
    open_groups = [exception]
    while open_groups:
        one = open_groups.pop()
        if isinstance(one, BaseExceptionGroup):
            open_groups.extend(reversed(one.exceptions))
        else:
            yield one


def _waits(backoff: Backoff, base: float, max_wait: float) -> Callable[[Any], float]:
    if backoff == "exponential":
        return tenacity.wait_exponential(multiplier=base, max=max_wait)
    if backoff == "linear":
        return tenacity.wait_incrementing(start=base, increment=base, max=max_wait)
    return tenacity.wait_fixed(min(base, max_wait))


def _sync(option: str, answer: Any) -> Any:
    if not inspect.isawaitable(answer):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()  # or it would warn that nobody awaited it
    raise _async_strategy(option)


def _async_strategy(option: str) -> DefinitionError:
    return DefinitionError(
        f"the `{option}` of a Retry is async",
        code="async-strategy",
        where=author_span(),
        fix=f"give `{option}` a plain function or one of tenacity's own: the next wait is arithmetic, nothing is awaited for it",
    )


def _strategy(option: str, said: Any) -> Callable[[Any], Any] | None:
    if said is None:
        return None
    if isinstance(said, type) or not callable(said):
        fix = f"make one: `{said.__name__}(…)`" if isinstance(said, type) else "give one of tenacity's strategies, or a plain function"
        raise DefinitionError(f"the `{option}` of a Retry is {said!r}", code="not-a-strategy", where=author_span(), fix=fix)
    if inspect.iscoroutinefunction(said) or inspect.iscoroutinefunction(type(said).__call__):
        raise _async_strategy(option)
    strategy: Callable[[Any], Coroutine[Any, Any, Any] | Any] = said
    return strategy


def _count(attempts: object, stop: object) -> int:
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise DefinitionError(
            f"`attempts` of a Retry is {attempts!r}",
            code="bad-attempts",
            where=author_span(),
            fix="give a whole number from 1; it counts the first call, so 1 never tries again",
        )
    if stop is not None and attempts != DEFAULT_ATTEMPTS:
        raise DefinitionError(
            "a Retry has both `attempts` and `stop`, and `stop` alone decides",
            code="attempts-and-stop",
            where=author_span(),
            fix=f"say `stop=… | tenacity.stop_after_attempt({attempts})`",
        )
    return attempts


def _known_backoff(backoff: Any) -> Backoff:
    known = get_args(Backoff)
    if backoff not in known:
        raise DefinitionError(
            f"`backoff` of a Retry is {backoff!r}",
            code="bad-backoff",
            where=author_span(),
            known=known,
            nearest=nearest(str(backoff), known),
            fix="use one of the known, or give `wait=` a tenacity strategy",
        )
    found: Backoff = backoff
    return found


def _exceptions(on: Any) -> type[BaseException] | tuple[type[BaseException], ...]:
    classes = on if isinstance(on, tuple) else (on,)
    if not classes or not all(isinstance(c, type) and issubclass(c, BaseException) for c in classes):
        raise DefinitionError(
            f"`on` of a Retry is {on!r}",
            code="bad-on",
            where=author_span(),
            fix="give an exception class or a tuple of them; for a predicate use `when=tenacity.retry_if_exception(…)`",
        )
    found: type[BaseException] | tuple[type[BaseException], ...] = on
    return found


def _named(on: type[BaseException] | tuple[type[BaseException], ...]) -> str:
    return on.__name__ if isinstance(on, type) else f"({', '.join(c.__name__ for c in on)})"
