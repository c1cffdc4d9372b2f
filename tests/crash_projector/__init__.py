"""Projectors killed with kill -9, again and again, and what their tables hold afterwards."""
