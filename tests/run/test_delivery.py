"""What became of a signal."""

import msgspec
import pytest

from reactor import Delivery, Incompatible
from reactor.run.delivery import Remembered, remembered_of


def test_a_delivery_is_a_plain_value():
    """Compared by what it says; it never changes."""
    taken = Delivery("accepted", "checkout:o-1")
    assert taken == Delivery("accepted", "checkout:o-1")
    assert taken != Delivery("duplicate", "checkout:o-1")
    assert Delivery("early", None).run_id is None
    with pytest.raises(AttributeError):
        taken.status = "early"


def test_what_is_remembered_of_a_delivery_is_read_as_it_was_written():
    """What no release wrote is refused, with the delivery it was kept for."""
    assert remembered_of(msgspec.msgpack.encode(Remembered("early", None, "me")), "d-1") == Remembered("early", None, "me")
    for planted in (b"", b"\x80\x04\x95", msgspec.msgpack.encode("text"), msgspec.msgpack.encode(("early", 1, "me"))):
        with pytest.raises(Incompatible) as caught:
            remembered_of(planted, "d-1")
        assert caught.value.code == "unreadable-signal"
        assert "d-1" in caught.value.what
        assert caught.value.fix
