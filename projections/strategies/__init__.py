"""Strategies and their executions: their tables, what may be done with them, and how they are run."""
