"""What is to go wrong in a trial, and what did happen: a plan whose every call asks this table first and is written down.

It wraps the author's calls in a copy of the plan, so that a run under trial is driven by the very engine that drives any other, and
a run that is not under trial pays nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from reactor.define.reactor import Reactor, definition_of
from reactor.errors import ReactorError
from reactor.plan.compile import plan_of
from reactor.run.context import step_context

if TYPE_CHECKING:
    from reactor.plan.plan import Handler, Plan, PlanNode

CallKind: TypeAlias = Literal["do", "undo", "compensate"]


class Word:
    """A fault that is no exception."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


HANG: Final = Word("HANG")
"""The call never returns: until its timeout, a deadline or a cancel ends it."""

CANCEL: Final = Word("CANCEL")
"""The run is cancelled while the call is in flight."""

Fault: TypeAlias = BaseException | type[BaseException] | Word | None
"""What becomes of one call; None lets it through to the author's code."""


class NotReached(ReactorError):
    """A trial was told to fail or replace a call that was never made: it would have tested nothing. Mend the address."""

    code = "not-reached"


@dataclass(frozen=True)
class Made:
    """One call that was made: which, when (seconds on the loop's clock) and how it ended."""

    call: CallKind
    address: str
    attempt: int
    began: float
    ended: float
    value: Any = None
    error: BaseException | None = None


class Faults:
    """The table: which calls fail and how, which are replaced and by what; and the list of those that were made."""

    def __init__(self, fail: Mapping[str, Fault | Sequence[Fault]], replaced: Mapping[str, Any]) -> None:
        self._fail = {key: _Pattern(key, fault) for key, fault in fail.items()}
        self._replaced = {key: _Pattern(key, value) for key, value in replaced.items()}
        self._calls: Counter[tuple[CallKind, str]] = Counter()
        self._loop = asyncio.get_running_loop()
        self.began: list[tuple[CallKind, str]] = []
        self.made: list[Made] = []  # in the order in which they ended
        self.cancel: Callable[[], None] | None = None

    # ---- the plan that asks it ------------------------------------------------------------------------------

    def around(self, plan: Plan) -> Plan:
        """The plan, its calls and those of its children wrapped."""
        return replace(plan, nodes=tuple(self._node(node) for node in plan.nodes), _children=_Children(plan, self))

    def _node(self, node: PlanNode) -> PlanNode:
        return replace(
            node,
            call=self._wrap("do", node.call, is_async=node.is_async),
            undo=self._handler("undo", node.undo),
            compensate=self._handler("compensate", node.compensate),
        )

    def _handler(self, call: CallKind, handler: Handler | None) -> Handler | None:
        return None if handler is None else replace(handler, call=self._wrap(call, handler.call, is_async=handler.is_async))

    def _wrap(self, call: CallKind, code: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
        async def performed(*args: Any) -> Any:
            with _Writing(self, call) as line:
                fault = self._fault(line)
                if isinstance(fault, Word):
                    await self._stay(fault)
                line.value = self._answer(line, code, args)
                if isawaitable(line.value) and not isinstance(line.value, Reactor):  # a compose returns one to be composed
                    line.value = await line.value
                return line.value

        def performed_in_thread(*args: Any) -> Any:
            with _Writing(self, call) as line:
                fault = self._fault(line)
                if isinstance(fault, Word):
                    raise ReactorError(
                        f"{fault} is for async calls, and `{line.address}` runs in a thread", code="no-such-fault", fix="raise"
                    )
                line.value = self._answer(line, code, args)
                return line.value

        return performed if is_async else performed_in_thread

    # ---- one call -------------------------------------------------------------------------------------------

    def _fault(self, line: _Writing) -> Fault:
        """What goes wrong with this call; an exception is raised at once."""
        number = self._calls[line.call, line.address]
        self._calls[line.call, line.address] += 1
        pattern = _find(self._fail, line.call, line.address)
        fault = pattern.nth(number) if pattern else None
        if isinstance(fault, BaseException):
            raise fault.with_traceback(None)
        if isinstance(fault, type):
            raise fault
        return fault

    async def _stay(self, word: Word) -> None:
        if word is CANCEL and self.cancel is not None:
            self.cancel()
        await self._loop.create_future()

    def _answer(self, line: _Writing, code: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The author's own, or what is to be in its place: a callable gets what the author's method would, but for self."""
        pattern = _find(self._replaced, line.call, line.address)
        if pattern is None:
            return code(*args)
        return pattern.what(*args[1:]) if callable(pattern.what) else pattern.what

    def now(self) -> float:
        """The loop's time, from whichever thread."""
        return self._loop.time()

    # ---- afterwards -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise NotReached where something was asked for that never came to be."""
        for pattern in (*self._fail.values(), *self._replaced.values()):
            if not pattern.reached:
                known = list(dict.fromkeys(_key(call, address) for call, address in self.began))
                near = get_close_matches(pattern.key, known, 1)
                raise NotReached(
                    f"`{pattern.key}` was never called in this trial",
                    known=known,
                    nearest=near[0] if near else None,
                    fix="say an address that is called: `ship[3].label`, `ship[*]`, `undo:reserve`, `compensate:pay`",
                )


class _Writing:
    """One call while it is made; written down when it ends."""

    def __init__(self, faults: Faults, call: CallKind) -> None:
        context = step_context()
        self._faults = faults
        self.call: CallKind = call
        self.address = context.address
        self._attempt = context.attempt
        self._began = faults.now()
        self.value: Any = None
        faults.began.append((call, self.address))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        value = self.value if error is None else None
        self._faults.made.append(Made(self.call, self.address, self._attempt, self._began, self._faults.now(), value, error))


class _Pattern:
    """An address as a trial says it: of an undo or compensate with its word before it, `[*]` for every element."""

    def __init__(self, key: str, what: Any) -> None:
        self.key = key
        self.what = what
        self.reached = False
        call, _, address = key.rpartition(":")
        if call not in ("", "do", "undo", "compensate"):
            raise ReactorError(f"`{key}` names no call", code="no-such-call", fix="say `reserve`, `undo:reserve` or `compensate:reserve`")
        self._call = call or "do"
        self._address = re.compile(re.escape(address).replace(r"\[\*\]", r"\[\d+\]"))

    def nth(self, number: int) -> Fault:
        """The fault of the nth call, from 0; one that is not in a sequence is every call's."""
        what: Any = self.what
        if isinstance(what, Sequence):
            what = what[number] if number < len(what) else None
        fault: Fault = what
        return fault

    def matches(self, call: CallKind, address: str) -> bool:
        """Whether it means this call."""
        if call == self._call and self._address.fullmatch(address):
            self.reached = True
            return True
        return False


def _find(patterns: Mapping[str, _Pattern], call: CallKind, address: str) -> _Pattern | None:
    exact = patterns.get(_key(call, address))
    if exact is not None and exact.matches(call, address):
        return exact
    return next((pattern for pattern in patterns.values() if pattern.matches(call, address)), None)


def _key(call: CallKind, address: str) -> str:
    return address if call == "do" else f"{call}:{address}"


class _Children(dict[str, "Plan"]):
    """A wrapped plan's children, wrapped when first asked for."""

    def __init__(self, plan: Plan, faults: Faults) -> None:
        super().__init__()
        self._plan = plan
        self._faults = faults

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            for child in {child: None for node in self._plan.nodes for child in node.children}:
                definition = definition_of(child)
                if name in (definition.name, *definition.aliases):
                    self[name] = self._faults.around(plan_of(child))
        return super().get(name, default)
