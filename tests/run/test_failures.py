"""An exception, while it is alive, made into what is recorded of it; and which word of the author's it speaks."""

import json
from typing import Annotated

import pytest
from msgspec import Struct

from reactor import Fail, Halt, Reactor, ReactorError, Secret, Skip, StepCancelled, step
from reactor.define.failing import StepError
from reactor.define.problems import MASK
from reactor.run import failures
from reactor.run.failures import FRAMES, blotted, exceptions_in, failure_of, mask, secret_texts, speaks


class Declined(ValueError):
    """A card was declined."""


def raised(error):
    """An exception that was raised, and so has a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001  # whatever it is
        return caught


# ---- which one speaks -----------------------------------------------------------------------------------------------


HALT, FAIL, SKIP, OTHER = Halt("h"), Fail("f"), Skip(3), Declined("o")


@pytest.mark.parametrize(
    ("group", "speaker"),
    [
        ([SKIP, OTHER, FAIL, HALT], HALT),
        ([SKIP, OTHER, FAIL], FAIL),
        ([SKIP, SKIP], SKIP),
        ([SKIP], SKIP),
        ([OTHER, HALT], HALT),
    ],
)
def test_groups_are_searched(group, speaker):
    """Halt, then Fail, then others, then Skip: a task group inside a step does not hide what it says, at any depth."""
    assert speaks(BaseExceptionGroup("flat", group)) is speaker
    assert speaks(BaseExceptionGroup("deep", [BaseExceptionGroup("inner", group)])) is speaker


def test_others_speak_as_their_group():
    """Which of several failures counts is not for us to say; a Skip among them says nothing."""
    group = BaseExceptionGroup("both", [OTHER, SKIP])
    assert speaks(group) is group
    assert speaks(OTHER) is OTHER


def test_exceptions_in_a_group():
    """At any depth, in order."""
    inner = BaseExceptionGroup("inner", [SKIP, HALT])
    assert list(exceptions_in(BaseExceptionGroup("outer", [OTHER, inner]))) == [OTHER, SKIP, HALT]
    assert list(exceptions_in(OTHER)) == [OTHER]


# ---- what is recorded ---------------------------------------------------------------------------------------------------


def test_a_failure_says_what_and_where():
    """Kind, message, attempt; the author's line, with those around it."""
    failure = failure_of(raised(Declined("no funds")), 3)
    assert (failure.kind, failure.message, failure.attempt, failure.code) == ("Declined", "no funds", 3, "")
    frame = failure.frames[-1]
    assert frame.file == __file__
    assert frame.function == "raised"
    assert frame.code == "raise error"
    assert f"> {frame.line:4}         raise error" in failure.snippet
    assert len(failure.snippet.splitlines()) == 5


def test_a_failure_is_told_by_its_lineage():
    """The class and all its bases, by name: `is_a` asks that, in process and after a reload alike."""
    failure = failure_of(raised(Declined("no")), 1)
    assert failure.lineage[0] == f"{__name__}.Declined"
    assert [StepError(failure).is_a(kind) for kind in (Declined, ValueError, Exception, OSError)] == [True, True, True, False]


def test_an_error_of_ours_keeps_its_code():
    """Callers tell them apart by it."""
    assert failure_of(raised(StepCancelled("told")), 1).code == "step-cancelled"
    assert failure_of(raised(ReactorError("no", code="too-deep")), 1).code == "too-deep"


def test_an_exception_that_was_never_raised_has_no_frames():
    """One made by us."""
    failure = failure_of(Declined("no"), 1)
    assert (failure.frames, failure.snippet) == ((), "")


def test_a_group_of_one_is_its_one():
    """A task group's failure reads as what failed in it."""
    failure = failure_of(raised(ExceptionGroup("tasks", [ExceptionGroup("inner", [Declined("no")])])), 1)
    assert (failure.kind, failure.message) == ("Declined", "no")


def test_a_group_tells_all_that_is_in_it():
    """Each with its kind; `is_a` finds any of them, and the group."""
    failure = failure_of(raised(ExceptionGroup("tasks", [Declined("no"), OSError("disk")])), 1)
    assert failure.kind == "ExceptionGroup"
    assert failure.message.endswith("Declined: no; OSError: disk")
    assert all(StepError(failure).is_a(kind) for kind in (Declined, OSError, ExceptionGroup))


def test_notes_are_kept():
    """What an author added to his exception."""
    error = raised(Declined("no"))
    error.add_note("order o-1")
    assert failure_of(error, 1).notes == ("order o-1",)


def test_arguments_are_shortened():
    """Enough to see which, never a page."""
    shown = failure_of(raised(Declined("no")), 1, {"short": [1, 2], "long": "x" * 10_000}).arguments
    assert shown["short"] == "[1, 2]"
    assert len(shown["long"]) <= failures.SHOWN


def test_a_large_argument_is_not_gone_through():
    """A list of a million is shown by its first few, a Struct by its fields, deep ones to a depth."""

    class Counted(list):
        reads = 0

        def __iter__(self):
            for one in super().__iter__():
                Counted.reads += 1
                yield one

    class Order(Struct):
        lines: list[int]
        note: str

    class Deep(Struct):
        inside: object

    order = Order(Counted(range(1_000_000)), "x" * 1_000_000)
    structs = Deep(Deep(Deep(Deep(Deep(1)))))
    shown = failure_of(raised(Declined("no")), 1, {"order": order, "deep": [[[[[[1]]]]]], "structs": structs}).arguments
    assert shown["structs"].count("Deep(inside=") < 5
    assert "Deep(…)" in shown["structs"]
    assert shown["order"].startswith("Order(lines=[0, 1, 2")
    assert len(shown["order"]) <= failures.SHOWN
    assert Counted.reads < 100
    assert shown["deep"].count("[") < 6


def test_a_long_message_is_shortened():
    """A record must not grow by what somebody put into an exception."""
    message = failure_of(raised(Declined("x" * 100_000)), 1).message
    assert len(message) == failures.LONG
    assert message.endswith("…")


# ---- frames ----------------------------------------------------------------------------------------------------------------


def test_frames_are_the_authors():
    """What he called in the standard library is left out: his line is the innermost."""
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    failure = failure_of(caught.value, 1)
    assert failure.frames[-1].code == 'json.loads("{")'
    assert {frame.file for frame in failure.frames} == {__file__}


def test_at_most_thirty_frames_the_innermost():
    """A recursion does not fill the record."""

    def deep(left):
        if left:
            deep(left - 1)
        else:
            raise Declined("at the bottom")

    with pytest.raises(Declined) as caught:
        deep(100)
    frames = failure_of(caught.value, 1).frames
    assert len(frames) == FRAMES
    assert frames[-1].code == 'raise Declined("at the bottom")'


def test_library_frames_are_kept_where_there_is_nothing_else():
    """A failure is never without a place, if it has a traceback at all."""
    code = compile("raise OSError('deep')", json.__file__, "exec")
    with pytest.raises(OSError, match="deep") as caught:
        exec(code, {})
    trace = caught.value.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    assert [frame.file for frame in failure_of(caught.value.with_traceback(trace), 1).frames] == [json.__file__]


def test_a_step_that_is_installed_beside_the_libraries_keeps_its_frames(monkeypatch, tmp_path):
    """Its own package's frames are the author's, wherever it was installed; another package's are not."""
    monkeypatch.setattr(failures, "INSTALLED", (f"{tmp_path}/",))
    monkeypatch.setattr(failures, "LIBRARIES", (f"{tmp_path}/",))
    for package, text in {"shop": "def pay(other): charge(other)\ndef charge(other): other()", "lib": "def fail(): raise OSError"}.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "code.py").write_text(text)
    spaces = {}
    for package in ("shop", "lib"):
        file = tmp_path / package / "code.py"
        spaces[package] = {}
        exec(compile(file.read_text(), str(file), "exec"), spaces[package])
    with pytest.raises(OSError) as caught:  # noqa: PT011  # it has no text
        spaces["shop"]["pay"](spaces["lib"]["fail"])
    trace = caught.value.__traceback__.tb_next  # the step's own frame first, as a lane has it
    assert [frame.function for frame in failure_of(caught.value.with_traceback(trace), 1).frames] == ["pay", "charge"]


# ---- hostile exceptions ----------------------------------------------------------------------------------------------------


class Hostile(Exception):
    """Whatever is asked of it fails."""

    def __str__(self):
        raise RuntimeError("no text")

    def __repr__(self):
        raise RuntimeError("no repr")


def test_an_exception_without_a_text():
    """Its `__str__` raises: the failure says so."""
    assert failure_of(raised(Hostile()), 1).message == "its text cannot be made: RuntimeError"
    assert "cannot be made" in failure_of(raised(ExceptionGroup("both", [Hostile(), Declined("x")])), 1).message


def test_an_argument_without_a_repr():
    """Its `__repr__` raises: it is named by its type."""
    assert failure_of(raised(Declined("no")), 1, {"it": Hostile()}).arguments["it"].startswith("<Hostile")


@pytest.mark.parametrize("notes", [None, 5, "text", [3, Hostile()]], ids=["none", "number", "text", "objects"])
def test_notes_may_be_anything(notes):
    """Nobody keeps an author from setting the attribute."""
    error = raised(Declined("no"))
    error.__notes__ = notes
    told = failure_of(error, 1).notes
    assert all(isinstance(note, str) for note in told)
    assert len(told) == (2 if isinstance(notes, list) else 0)


def test_a_text_that_is_no_text():
    """`__str__` gives something else."""

    class Odd(Exception):
        def __str__(self):
            return 3  # noqa: PLE0307  # on purpose

    assert failure_of(raised(Odd()), 1).message == "its text cannot be made: TypeError"


# ---- secrets ------------------------------------------------------------------------------------------------------------------


class Card(Struct):
    number: str
    owner: str


class Paying(Reactor):
    order: str
    token: Annotated[str, Secret()]
    card: Annotated[Card, Secret()]

    @step
    async def output(self) -> int:
        return 1


PAYING = Paying(order="o-1", token="t0ps3cret", card=Card("4242424242424242", "ann"))


def test_secrets_are_masked_wherever_they_stand():
    """In the message, notes, arguments, snippet and code of a failure; what is no secret stays."""
    error = raised(Declined("token t0ps3cret of o-1, card 4242424242424242"))
    error.add_note("with t0ps3cret")
    failure = failure_of(error, 1, {"token": "t0ps3cret", "order": "o-1"}, secret_texts(PAYING))
    assert failure.message == f"token {MASK} of o-1, card {MASK}"
    assert failure.notes == (f"with {MASK}",)
    assert failure.arguments == {"token": f"'{MASK}'", "order": "'o-1'"}


@pytest.mark.parametrize(
    "secret",
    ["jwt." + "abcdefghij" * 40, "-----BEGIN-----\nMIIEpAIB\n-----END-----", 'it\'s \\ quoted "so"', "tab\tand ünïcode \x00"],
    ids=["long", "lines", "quoted", "escaped"],
)
def test_no_part_of_a_secret_is_shown(secret):
    """One that is longer than what is shown, or whose repr is not its text; in an argument, in a message, at the end of a long one."""
    secrets = secret_texts(Paying(order="o-1", token=secret, card=Card("4242424242424242", "ann")))
    arguments = {"token": secret, "in": [secret, {"a": secret}], "card": Card(secret, "ann")}
    for message in (secret, f"bad: {secret!r}", "x" * (failures.LONG - 10) + secret, "x" * (failures.LONG - 10) + repr(secret)):
        failure = failure_of(raised(Declined(message)), 1, arguments, secrets)
        told = [failure.message, *failure.arguments.values()]
        assert not [
            text for text in told if any(part in text for part in (secret[4:12], repr(secret)[5:13], secret[-8:], repr(secret)[-9:-1]))
        ]


def test_a_secret_in_a_source_line_is_masked():
    """The author's own code is shown: a literal in it that is a secret's text is not."""
    failure = failure_of(raised(Declined("x")), 1)
    masked = mask(failure, ("raise error",))
    assert masked.frames[-1].code == MASK
    assert "raise error" not in masked.snippet


def test_the_texts_of_a_secret_are_its_parts():
    """A Struct's fields too, longest first, so that no part is left of a whole."""
    texts = secret_texts(PAYING)
    assert {"t0ps3cret", "4242424242424242", "ann"} <= set(texts)
    assert "o-1" not in texts
    assert blotted("Card 4242424242424242", texts) == f"Card {MASK}"


def test_a_reactor_without_secrets_has_none():
    """Nothing is searched for then."""

    class Plain(Reactor):
        order: str

        @step
        async def output(self) -> int:
            return 1

    assert secret_texts(Plain(order="o-1")) == ()
