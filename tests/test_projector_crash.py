"""Projectors killed with kill -9 while events flow."""

from __future__ import annotations

from tests.crash_projector.campaign import kill_again_and_again

KILLS = 100


async def test_a_killed_projector_leaves_rows_and_checkpoint_of_one_position(database: str) -> None:
    """After each kill every row of every table equals the fold of the log up to the stored checkpoint."""
    report = await kill_again_and_again(database, KILLS, seed=1)
    assert report.kills == KILLS
    assert report.midway > KILLS // 10
    assert report.position > KILLS
