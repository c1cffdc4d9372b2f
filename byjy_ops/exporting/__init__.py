"""Exports: the log and its tables as JSON Lines, CSV or Parquet, with a manifest, and the check of both.

::

    async with EventLog.open("sqlite:///trading.db", read_only=True) as log:
        manifest = await export(log, Kind.TRADES, Path("trades.parquet"), filters=Filters(pair="binance:BTCUSDT"))
    verdict = check(Path("trades.parquet"))
"""

from __future__ import annotations

from byjy_ops.exporting.checking import Covered, Problem, Verdict, check
from byjy_ops.exporting.columns import Column, ColumnType, Kind
from byjy_ops.exporting.covering import sealed_position
from byjy_ops.exporting.errors import (
    FormatUnavailable,
    NotCheckable,
    OutputExists,
    OutputUnwritable,
    UnknownFormat,
)
from byjy_ops.exporting.exporter import export
from byjy_ops.exporting.filters import Chosen, Filters
from byjy_ops.exporting.formats import Format
from byjy_ops.exporting.manifest import GroupVersion, Manifest, Positions, manifest_path, read_manifest
from byjy_ops.exporting.range_proof import RangeProof

__all__ = [
    "Chosen",
    "Column",
    "ColumnType",
    "Covered",
    "Filters",
    "Format",
    "FormatUnavailable",
    "GroupVersion",
    "Kind",
    "Manifest",
    "NotCheckable",
    "OutputExists",
    "OutputUnwritable",
    "Positions",
    "Problem",
    "RangeProof",
    "UnknownFormat",
    "Verdict",
    "check",
    "export",
    "manifest_path",
    "read_manifest",
    "sealed_position",
]
