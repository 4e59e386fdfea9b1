"""Marks and phases: small ints that people read as words."""

from reactor.machine import marks


def numbered(words):
    """The names that a tuple of words gives to the numbers."""
    return {word.upper(): number for number, word in enumerate(words)}


def test_every_mark_and_phase_has_its_word():
    """`MARKS[DONE]` says `done`: the tables follow the numbers, so that a snapshot can be read."""
    constants = {name: value for name, value in vars(marks).items() if name.isupper() and isinstance(value, int)}
    phases = numbered(marks.PHASES)
    assert {name: number for name, number in constants.items() if name not in phases} == numbered(marks.MARKS)
    assert {name: constants[name] for name in phases} == phases
