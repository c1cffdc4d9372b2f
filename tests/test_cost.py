"""A slip on the hot paths is seen as a count, on any machine: see :mod:`tests.cost`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.cost import cost_of_append, cost_of_fold, counting

BASELINE = msgspec.json.decode((Path(__file__).parent / "cost.json").read_bytes(), type=dict[str, float])
BAND = 0.1 if sys.version_info[:2] == (3, 11) else 0.5
"""The interpreter's instructions are of another kind in each version of it; those counted here are of 3.11."""


@pytest.mark.parametrize("cost", [cost_of_append, cost_of_fold])
def test_a_hot_path_costs_what_it_did(cost: Callable[[Path], dict[str, float]], tmp_path: Path) -> None:
    """Within a tenth. Who makes it cheaper lowers the baseline, so that the next slip is seen: python -m tests.cost."""
    for name, found in cost(tmp_path).items():
        assert found == pytest.approx(BASELINE[name], rel=BAND), f"{name}: {found:.0f}, not {BASELINE[name]:.0f}"


def test_an_instruction_more_is_counted() -> None:
    """Else the test above could not fail."""

    def counted(times: int) -> int:
        with counting() as counter:
            counter.on = True
            _loop(times)
            counter.on = False
        return counter.count

    assert counted(2_000) - counted(1_000) == pytest.approx(1_000 * (counted(101) - counted(100)), rel=0.01)
    assert counted(101) > counted(100)


def _loop(times: int) -> None:
    for _ in range(times):
        pass
