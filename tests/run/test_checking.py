"""What is handed to an engine beside inputs is refused at once where it is not what it must be."""

import pytest

from reactor import Engine, Reactor, ReactorError, step
from reactor.run.checking import checked_id, checked_observers, checked_status, checked_tags

pytestmark = pytest.mark.anyio


class Greet(Reactor):
    @step
    async def output(self) -> int:
        return 1


@pytest.mark.parametrize("said", ["", "a b", "a/b", "a~2", "x" * 201, 3, b"a"])
def test_an_id_that_is_none_is_refused(said):
    """Letters, digits and `_ . : @ -`, 1 to 200; `~` and `/` are ours; a number is no text."""
    with pytest.raises(ReactorError, match="bad-id"):
        checked_id(said)


def test_an_id_is_kept_as_it_is_and_none_is_drawn():
    """What is allowed is not touched."""
    assert checked_id("o-1:a.b@c") == "o-1:a.b@c"
    assert len({checked_id(None), checked_id(None)}) == 2


@pytest.mark.parametrize("said", ["nightly", [3], ["a", None]])
def test_tags_are_texts(said):
    """One text would be taken letter by letter."""
    with pytest.raises(ReactorError, match="bad-tags"):
        checked_tags(said)


def test_a_status_that_no_run_can_have_is_refused():
    """The nearest is named."""
    assert checked_status(None) is None
    assert checked_status("failed") == "failed"
    with pytest.raises(ReactorError, match="failed"):
        checked_status("faild")


@pytest.mark.parametrize("said", [print, [print, 3]])
def test_observers_are_a_list_of_functions(said):
    """One function alone is a mistake that would show late."""
    with pytest.raises(ReactorError, match="bad-observers"):
        checked_observers(said)


async def test_an_engine_refuses_them_before_anything_begins():
    """Nothing is begun, nothing is found by mistake."""
    async with Engine() as engine:
        for wrong in ({"tags": "nightly"}, {"id": "a b"}):
            with pytest.raises(ReactorError):
                await engine.start(Greet(), **wrong)
        with pytest.raises(ReactorError, match="bad-status"):
            await engine.find(status="faild")
        assert (await engine.find()).total == 0
