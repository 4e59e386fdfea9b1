"""What became of a signal."""

import pytest

from reactor import Delivery


def test_a_delivery_is_a_plain_value():
    """Compared by what it says; it never changes."""
    taken = Delivery("accepted", "checkout:o-1")
    assert taken == Delivery("accepted", "checkout:o-1")
    assert taken != Delivery("duplicate", "checkout:o-1")
    assert Delivery("early", None).run_id is None
    with pytest.raises(AttributeError):
        taken.status = "early"
