"""What the demo refuses."""

from __future__ import annotations

from byjy_events import ByjyError


class LogNotEmpty(ByjyError):
    """The demo writes into a log of its own only; this one holds events, and nothing was added to them.

    Attributes:
        database: the database, as a URL without password.
        head: how many events it holds.
    """

    def __init__(self, database: str, head: int) -> None:
        self.database = database
        self.head = head
        super().__init__(f"{database} holds {head} event(s) already: the demo wants a log of its own")
