"""Configuration: its table, what may be done with it, and how it is watched."""
