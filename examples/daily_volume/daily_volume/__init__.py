"""Traded volume per pair and UTC day, as a projection of a byjy-events log."""

from daily_volume.queries import volumes
from daily_volume.volume import DAILY_VOLUME, DailyVolume, DailyVolumeRow

__all__ = ["DAILY_VOLUME", "DailyVolume", "DailyVolumeRow", "volumes"]
