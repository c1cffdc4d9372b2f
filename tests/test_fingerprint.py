"""The fingerprint of folds: what changes it and what does not."""

from __future__ import annotations

import ast
import importlib
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from byjy_events import EventLog
from projections import TRADING, Group, GroupOutdated, Projection, catch_up
from projections.fingerprint import dumped, fingerprint
from projections.projection import GROUP_VERSION_LENGTH
from tests.own_groups import Placings, create_tables, placings_group
from tests.story import place

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = {
    "__init__.py": "from .volume import Volume\n",
    "volume.py": '''
"""Volumes."""

from __future__ import annotations

from math import floor as cut
from typing import TYPE_CHECKING

import sqlalchemy as sa
from byjy_events import OrderFilled, Recorded
from projections import Projection, on
from . import rates
from .events import Noted
from .rows import VolumeRow, volumes
from .scaling import scaled as shrunk

if TYPE_CHECKING:
    from .typing_only import Something

LIMIT = 3
HOW = {"buy": lambda value: value + 1}
HOW["sell"] = lambda value: value - 1

def helper(value: Something):
    """Says nothing."""
    return cut(value * LIMIT)  # three times

def unrelated(value):
    return value * 5

class Volume(Projection[VolumeRow]):
    """The volumes."""

    name = "volumes"
    table = volumes
    row_type = VolumeRow

    def keys(self, recorded: Recorded):
        return (recorded.event.pair.symbol,)

    @on(OrderFilled, Noted)
    def filled(self, row, event, recorded, key):
        before = VolumeRow(symbol=key) if row is None else row
        added = HOW["buy"](helper(shrunk(event.quantity))) * rates.RATE
        return VolumeRow(symbol=key, quantity=f"{before.quantity:>10} {added!r}")
''',
    "scaling.py": "from .deep import factor\n\ndef scaled(value):\n    return value * factor()\n",
    "deep.py": """
def factor():
    divisors = []
    divisors.append(2)
    return _digits() / divisors[0]

def _digits():
    return 18
""",
    "rates.py": "RATE = 2\nOTHER = 3\n",
    "rows.py": """
import sqlalchemy as sa
from msgspec import Struct
from byjy_events.columns import word
volumes = sa.Table(
    "volumes", sa.MetaData(), sa.Column("symbol", word(255), primary_key=True), sa.Column("quantity", sa.Text),
)

class VolumeRow(Struct, frozen=True):
    symbol: str
    quantity: str = "0"
""",
    "events.py": """
from byjy_events.event import Intent, event_type

@event_type()
class Noted(Intent, frozen=True, kw_only=True):
    note: str = "a"
""",
    "star.py": "from .scaling import scaled as shrunk\n",
    "typing_only.py": "class Something: ...\n",
}

Fingerprinted = Callable[..., str]


@pytest.fixture
def folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fingerprinted]:
    """The fingerprint of the package ``folds``, in which pieces of text were replaced by others."""
    number = 0

    def of(module: str = "volume.py", old: str = "", new: str = "") -> str:
        nonlocal number
        number += 1
        folder = tmp_path / str(number) / "folds"
        folder.mkdir(parents=True)
        assert old in PACKAGE[module]
        for name, text in PACKAGE.items():
            (folder / name).write_text(text.replace(old, new) if name == module and old else text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder.parent))
            forget()
            found = fingerprint([importlib.import_module("folds").Volume])
        assert len(found) == 16
        return found

    yield of
    forget()


def forget() -> None:
    from byjy_events.event import EVENT_TYPES

    for name in [name for name in sys.modules if name.partition(".")[0] == "folds"]:
        del sys.modules[name]
    EVENT_TYPES.pop("Noted", None)


SAME = {
    "a comment": ("volume.py", "# three times", "# thrice"),
    "a docstring": ("volume.py", '"""Says nothing."""', '"""Says\n    something."""'),
    "no docstring any more": ("volume.py", '    """The volumes."""\n', ""),
    "the module's docstring": ("volume.py", '"""Volumes."""', '"""Quantities."""\n\n\n'),
    "formatting": ("volume.py", "value * LIMIT", "\n        value*LIMIT\n    "),
    "quotes": ("volume.py", '"volumes"', "'volumes'"),
    "an unrelated function": ("volume.py", "value * 5", "value * 6"),
    "an unrelated constant of a module that is used": ("rates.py", "OTHER = 3", "OTHER = 4"),
    "a column's type, which is of the table": ("rows.py", "sa.Text", "sa.Unicode"),
    "an event, which has a schema version": ("events.py", '"a"', '"b"'),
    "what type checkers alone import": ("typing_only.py", "...", "x = 1"),
    "a module imported by its whole name": ("volume.py", "from . import rates", "import folds.rates as rates"),
    "a function imported with all others": (
        "volume.py",
        "from .scaling import scaled as shrunk",
        "from .star import *",
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_what_folds_nothing_otherwise_changes_nothing(folds: Fingerprinted, change: tuple[str, str, str]) -> None:
    """Nobody has to rebuild for it."""
    assert folds(*change) == folds()


OTHER = {
    "the fold": ("volume.py", "if row is None", "if row is not None"),
    "the keys": ("volume.py", "(recorded.event.pair.symbol,)", "(recorded.event.pair.exchange,)"),
    "a constant": ("volume.py", "LIMIT = 3", "LIMIT = 4"),
    "a function": ("volume.py", "value * LIMIT", "value + LIMIT"),
    "a function in another module": ("scaling.py", "value * factor", "value / factor"),
    "a function two modules away": ("deep.py", "return 18", "return 8"),
    "a call whose result nobody takes": ("deep.py", "append(2)", "append(3)"),
    "a constant of a module that is imported whole": ("rates.py", "RATE = 2", "RATE = 3"),
    "a lambda in a dict": ("volume.py", "value + 1", "value + 2"),
    "a lambda put into a dict later": ("volume.py", "value - 1", "value - 2"),
    "a row's default": ("rows.py", '= "0"', '= "1"'),
    "a row's field": ("rows.py", "symbol: str", "symbol: bytes"),
    "an f-string's format": ("volume.py", ":>10}", ":>11}"),
    "an f-string's text": ("volume.py", "} {added", "}  {added"),
    "which function is meant": ("volume.py", "from .scaling import scaled as", "from .deep import factor as"),
    "which function of another package is meant": ("volume.py", "import floor as", "import ceil as"),
    "the declared version": ("volume.py", 'name = "volumes"', 'name = "volumes"\n    version = 2'),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_what_may_fold_otherwise_is_another_fingerprint(folds: Fingerprinted, change: tuple[str, str, str]) -> None:
    """Wherever in the package it is, as long as the fold uses it."""
    assert folds(*change) != folds()


PROGRAM = """
import sys
for name in sys.argv[1:]:
    __import__(name)
from projections import TRADING
from tests.own_groups import placings_group
print(TRADING.version, placings_group().version)
"""


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """Whatever was imported before, and however strings are hashed."""

    def said(seed: str, *modules: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, *modules]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    here = f"{TRADING.version} {placings_group().version}\n"
    assert said("1") == said("2", "byjy_ops.cli", "projections.netting") == said("3", "tests.own_groups") == here


def test_the_order_of_classes_makes_no_difference() -> None:
    """A group is what its projections are."""
    classes = [type(one) for one in TRADING.projections]
    assert fingerprint(classes) == fingerprint(reversed(classes)) != fingerprint(classes[1:])


def make(rate: int) -> type[Projection[Any]]:
    factor = rate * 2

    class Made(Placings):
        """Uses what is around it."""

        def keys(self, recorded: Any) -> Any:
            return [factor]

    return Made


def test_classes_within_functions_have_a_fingerprint_of_their_own() -> None:
    """Of two with one name each its own."""

    def one() -> type[Placings]:
        class Local(Placings):
            def keys(self, recorded: Any) -> Any:
                return [1]

        return Local

    first = one()

    class Local(Placings):
        def keys(self, recorded: Any) -> Any:
            return [2]

    found = [fingerprint([kind]) for kind in (first, Local, make(1), Placings)]
    assert all(found)
    assert len(set(found)) == 4
    assert fingerprint([make(2)]) == found[2]


def test_classes_with_one_qualified_name_are_told_apart() -> None:
    """By where their methods stand."""
    kinds = []
    for number in (1, 2):
        if number == 1:

            class Twin(Placings):
                def keys(self, recorded: Any) -> Any:
                    return [1]

            kinds.append(Twin)
        else:

            class Twin(Placings):  # type: ignore[no-redef]
                def keys(self, recorded: Any) -> Any:
                    return [2]

            kinds.append(Twin)
    assert kinds[0].__qualname__ == kinds[1].__qualname__
    assert fingerprint([kinds[0]]) != fingerprint([kinds[1]])


def test_without_source_there_is_no_fingerprint_and_the_declared_version_decides() -> None:
    """A frozen program goes on with the rows of one that has its source, and the other way round."""
    frozen = type("Frozen", (Placings,), {"__module__": "nowhere"})
    group, usual = Group("placings", [frozen()]), placings_group()
    assert fingerprint([frozen]) == ""
    assert group.version == group.declared_version == usual.declared_version == "placings=1"
    assert group.accepts(usual.version)
    assert usual.accepts(group.version)
    assert usual.accepts(usual.version)
    assert not group.accepts("placings=2")
    assert not usual.accepts(f"{usual.version[:-4]}0000")
    assert not usual.accepts("placings=1 placings2=1")


def test_a_class_that_no_source_shows_has_no_fingerprint() -> None:
    """Although its module has one: it may have been made of anything."""
    assert fingerprint([type("Frozen", (Placings,), {"__module__": __name__})]) == ""


def test_one_module_without_source_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Part of a fingerprint would look like one of a program that has them all."""
    folder = tmp_path / "folds"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    py_compile.compile(str(folder / "deep.py"), cfile=str(folder / "deep.pyc"))
    (folder / "deep.py").unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert fingerprint([importlib.import_module("folds").Volume]) == ""
    finally:
        forget()


def test_the_longest_version_fits_its_column() -> None:
    """What is longer is refused when the group is made, not when it is first stored."""
    room = GROUP_VERSION_LENGTH - len(" fold=") - 16 - len("=1")

    class Long(Placings):
        name = "n" * room

    class TooLong(Placings):
        name = "n" * (room + 1)

    assert len(Group("long", [Long()]).version) == GROUP_VERSION_LENGTH
    with pytest.raises(TypeError, match="more than 233"):
        Group("long", [TooLong()])


async def test_a_changed_fold_is_refused_on_old_rows(database: str) -> None:
    """Although nobody raised its version."""

    class Changed(Placings):
        def keys(self, recorded: Any) -> Any:
            return [*super().keys(recorded)][:1]

    await create_tables(database)
    changed = Group("placings", [Changed()])
    async with EventLog.open(database) as log:
        await place(log)
        await catch_up(log, placings_group())
        with pytest.raises(GroupOutdated) as caught:
            await catch_up(log, changed)
    assert (caught.value.found, caught.value.expected) == (placings_group().version, changed.version)
    assert changed.declared_version == placings_group().declared_version


def test_syntax_trees_of_other_versions_of_python_are_the_same_text() -> None:
    """Newer ones have fields more, which are empty, and cut the text of f-strings elsewhere."""
    tree = ast.parse("def f(x: int = 1, *y, **z):\n    return f'a{x}b' [1:] + {**z}['\u00e9']").body[0]
    before = dumped(tree)
    assert before.isascii()
    for node in ast.walk(tree):
        node.novelties = []  # type: ignore[attr-defined]
        node._fields = (*node._fields, "novelties")  # type: ignore[misc]
        if isinstance(node, ast.JoinedStr):
            node.values = [ast.Constant(""), *node.values[:-1], ast.Constant(""), ast.Constant("b")]
        if isinstance(node, ast.FormattedValue):
            node.format_spec = ast.JoinedStr([])
    assert dumped(tree) == before
