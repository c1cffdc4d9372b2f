"""Rebuilds killed with kill -9."""

from __future__ import annotations

from tests.crash_rebuild.campaign import kill_again_and_again

KILLS = 40


async def test_a_killed_rebuild_is_finished_by_the_next_start(database: str) -> None:
    """After each kill rows and checkpoint are as they were, or marked; whoever starts makes them equal to the log."""
    report = await kill_again_and_again(database, KILLS, seed=1)
    assert report.kills == KILLS
    assert report.before > 0
    assert report.marked > 0
