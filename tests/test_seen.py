"""The filter in front of the database forgets no key, whatever it mistakes for one."""

from __future__ import annotations

from uuid import uuid4

from projections.seen import Seen


def test_a_key_is_known_from_the_second_time_on() -> None:
    """Each of many keys, of several kinds, is new once and known ever after."""
    seen = Seen()
    keys: list[object] = [uuid4() for _ in range(500)] + [("a", number) for number in range(500)]
    strange = [key for key in keys if seen.before(key)]
    assert len(strange) < 10
    assert all(seen.before(key) for key in keys)


def test_neighbouring_numbers_do_not_share_their_bits() -> None:
    """Though the hash of a number is the number."""
    seen = Seen()
    assert not seen.before(7)
    assert not seen.before(8)
