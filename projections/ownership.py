"""The group of users and what belongs to them."""

from __future__ import annotations

from projections.api_keys.projection import ApiKeys
from projections.projection import Group
from projections.strategies.projection import Strategies, StrategyExecutions
from projections.users.projection import Users

OWNERSHIP = Group("ownership", [Users(), ApiKeys(), Strategies(), StrategyExecutions()])
"""``users`` and all that refers to them, advancing together."""
