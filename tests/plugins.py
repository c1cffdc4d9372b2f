"""Packages that announce groups, as an installer would leave them in a folder on the path."""

from __future__ import annotations

from pathlib import Path

from tests.cli import ROOT

EXAMPLE = ROOT / "examples" / "daily_volume"

MODULE = """
import sqlalchemy as sa
from msgspec import Struct

from byjy_events import OrderPlaced
from byjy_events.columns import Uuid
from projections import Group, Projection, on


def group(name, table_name):
    class {row}(Struct, frozen=True):
        id: object

    class Own(Projection[{row}]):
        name = table_name
        table = sa.Table(table_name, sa.MetaData(), sa.Column("id", Uuid, primary_key=True))
        row_type = {row}

        def keys(self, recorded):
            return [recorded.stream_id]

        @on(OrderPlaced)
        def placed(self, row, event, recorded, key):
            {body}

    return Group(name, [Own()])


"""


def install(folder: Path, package: str, entry_point: str, source: str, body: str = "return {row}(id=key)") -> None:
    """Put a package of one module there.

    Args:
        entry_point: e.g. ``mine = my_package:GROUP``.
        source: what follows on a function ``group(name, table_name)`` that makes a group.
        body: what that group's fold does.
    """
    announce(folder, package, entry_point)
    row = "Row"
    text = MODULE.format(row=row, body=body.format(row=row))
    (folder / f"{package.replace('-', '_')}.py").write_text(text + source)


def announce(folder: Path, package: str, entry_point: str) -> None:
    """Leave what an installer leaves of a package's entry points."""
    information = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[byjy_events.groups]\n{entry_point}\n")
