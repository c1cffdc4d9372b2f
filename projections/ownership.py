"""The group of users and what belongs to them."""

from __future__ import annotations

from projections.projection import Group
from projections.users.projection import Users

OWNERSHIP = Group("ownership", [Users()])
"""``users`` and all that refers to them, advancing together."""
