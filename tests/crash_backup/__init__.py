"""Backups, restores and migrations that are killed at any moment, run out of disk, or find what was damaged."""
