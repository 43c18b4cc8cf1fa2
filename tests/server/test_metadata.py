"""What callers send beside their messages."""

from penstockd.metadata import NONE, Metadata

THREE = Metadata((("k", "v"), ("k-bin", b"\xff\0"), ("k", "w")))


def test_every_value_of_a_name_is_there_in_the_order_sent() -> None:
    """What is no UTF-8 is replaced."""
    assert THREE.values("k") == ["v", "w"]
    assert THREE.values("k-bin") == ["\ufffd\0"]


def test_the_last_value_wins_where_one_is_asked_for() -> None:
    """Only a text is one."""
    assert THREE.last("k") == "w"
    assert THREE.last("k-bin") is None


def test_what_was_not_sent_is_not_there() -> None:
    """Nor is anything where nothing was sent."""
    assert THREE.values("other") == NONE.values("k") == []
    assert THREE.last("other") is NONE.last("k") is None
