"""Users: their table, what may be done with them, and how they log in."""
