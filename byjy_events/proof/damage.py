"""Damage of a database file, told from a database that is locked, full or away."""

from __future__ import annotations

import sqlite3


def is_damage(error: BaseException | None) -> bool:
    """Whether what the driver raised is about what lies in the file of SQLite: pages, or bytes that are no text."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    no_text = not hasattr(error, "sqlite_errorcode")  # the driver's own error, not SQLite's
    return no_text or type(error) is sqlite3.DatabaseError
