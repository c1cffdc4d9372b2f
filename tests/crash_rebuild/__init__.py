"""Rebuilds that are killed at any instant of their course."""
