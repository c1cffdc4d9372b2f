"""How long a user is locked out after so many failures in a row."""

from __future__ import annotations

import msgspec

NANOSECONDS = 10**9


class LockoutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """After ``free_failures`` failures in a row every further attempt waits: ``first_delay_seconds``, then twice as
    long each time, at most ``longest_delay_seconds``. A success, or somebody who unlocks, starts anew.

    The bound on guessing: ``free_failures`` passwords at once, whatever the number of processes that are asked, and in
    the long run one for each ``longest_delay_seconds``; anew after each success of the user. Unless told otherwise, 17
    in the first hour and 4 in each that follows. The price: whoever keeps guessing keeps the user out.

    Raises:
        ValueError: a number that is less than 1, or a longest delay below the first.
    """

    free_failures: int = 5
    first_delay_seconds: int = 1
    longest_delay_seconds: int = 900

    def __post_init__(self) -> None:
        if self.free_failures < 1 or not 1 <= self.first_delay_seconds <= self.longest_delay_seconds:
            raise ValueError(f"no policy: {self!r}")

    def locked_until(self, failures: int, now: int) -> int | None:
        """When the next attempt may be made after so many failures in a row; None: at once. Nanoseconds UTC."""
        beyond = failures - self.free_failures
        if beyond < 0:
            return None
        doublings = min(beyond, self.longest_delay_seconds.bit_length())  # more would only be cut
        delay = min(self.first_delay_seconds << doublings, self.longest_delay_seconds)
        return now + delay * NANOSECONDS
