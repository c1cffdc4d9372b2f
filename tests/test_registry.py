"""Which groups are installed, and what becomes of those that cannot be used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from projections import (
    TRADING,
    TRAIL,
    BrokenEntryPoint,
    GroupsCollide,
    UnknownGroup,
    group_named,
    installed_groups,
)
from projections.registry import OWN_GROUPS, found_groups
from tests.plugins import install

OWN = [group.name for group in OWN_GROUPS]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def names() -> list[str]:
    return [group.name for group in installed_groups()]


def test_without_other_packages_there_are_ours() -> None:
    """And they are the very objects."""
    assert installed_groups() == OWN_GROUPS
    assert group_named("trading") is TRADING
    assert group_named("trail") is TRAIL


GIVING = {
    "a group": ("one = acme:ONE", "ONE = group('one', 'ones')", ["one"]),
    "a list": ("all = acme:ALL", "ALL = [group('one', 'ones'), group('two', 'twos')]", ["one", "two"]),
    "a tuple": ("all = acme:ALL", "ALL = (group('one', 'ones'),)", ["one"]),
    "none": ("all = acme:ALL", "ALL = []", []),
    "a function": ("all = acme:all", "def all():\n    return group('one', 'ones')", ["one"]),
    "a function that gives a list": ("all = acme:all", "def all():\n    return [group('one', 'ones')]", ["one"]),
    "one object twice": ("a = acme:ONE\nb = acme:ONE", "ONE = group('one', 'ones')", ["one"]),
    "ours": ("trading = projections:TRADING", "", []),
}


@pytest.mark.parametrize("case", GIVING.values(), ids=GIVING.keys())
def test_a_package_announces_groups_by_an_entry_point(site: Path, case: tuple[str, str, list[str]]) -> None:
    """One, or several, or a function that makes them."""
    entry_point, source, expected = case
    install(site, "acme", entry_point, source)
    assert names() == [*OWN, *expected]
    assert [group_named(name).name for name in expected] == expected


def test_groups_come_by_package_and_entry_point_after_ours(site: Path) -> None:
    """However the packages lie in the folder."""
    install(site, "zebra", "b = zebra:B\na = zebra:A", "A = group('a', 'as_')\nB = group('b', 'bs')")
    install(site, "ant", "z = ant:Z", "Z = group('z', 'zs')")
    assert names() == [*OWN, "z", "a", "b"]


BROKEN = {
    "a module that is not there": ("x = acme_gone:X", "", "No module named 'acme_gone'"),
    "a name that is not there": ("x = acme:GONE", "", "GONE"),
    "a module that raises": ("x = acme:X", "1 / 0", "ZeroDivisionError: division by zero"),
    "a function that raises": ("x = acme:make", "def make():\n    raise KeyError('why')", "KeyError: 'why'"),
    "no group": ("x = acme:X", "X = 7", "gives int, not a Group"),
    "a list of no groups": ("x = acme:X", "X = [None]", "gives NoneType, not a Group"),
    "a class": ("x = acme:X", "class X: ...", "gives X, not a Group"),
    "a group that is refused": ("x = acme:X", "X = Group('x', [])", "TypeError: x: a group without projections"),
    "the log's table": ("x = acme:X", "X = group('x', 'events')", "table events is one of byjy-events itself"),
    "a syntax error": ("x = acme:X", "def", "SyntaxError"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_entry_point_is_named_with_its_package_and_cause(site: Path, case: tuple[str, str, str]) -> None:
    """And no other group suffers."""
    entry_point, source, reason = case
    install(site, "acme", entry_point, source)
    install(site, "good", "fine = good:FINE", "FINE = group('fine', 'fines')")
    with pytest.raises(BrokenEntryPoint) as caught:
        installed_groups()
    assert (caught.value.entry_point, caught.value.package) == (entry_point, "acme")
    assert reason in caught.value.reason
    assert all(fact in str(caught.value) for fact in (entry_point, "acme", reason))
    assert [group.name for group in found_groups().groups] == [*OWN, "fine"]
    assert group_named("fine").name == "fine"


def test_two_groups_of_one_name_are_both_refused(site: Path) -> None:
    """Naming both: they would share one checkpoint."""
    install(site, "acme", "x = acme:X", "X = group('volume', 'ones')")
    install(site, "other", "y = other:Y", "Y = group('volume', 'twos')")
    for ask in (installed_groups, lambda: group_named("volume")):
        with pytest.raises(GroupsCollide) as caught:
            ask()
        assert (caught.value.what, caught.value.value) == ("name", "volume")
        assert caught.value.groups == ("group volume of package acme", "group volume of package other")
    assert found_groups().groups == OWN_GROUPS


def test_two_groups_with_one_table_are_both_refused(site: Path) -> None:
    """They would write each other's rows."""
    install(site, "acme", "x = acme:X", "X = group('x', 'volume')")
    install(site, "other", "y = other:Y", "Y = group('y', 'volume')")
    with pytest.raises(GroupsCollide) as caught:
        installed_groups()
    assert (caught.value.what, caught.value.value) == ("table", "volume")
    assert caught.value.groups == ("group x of package acme", "group y of package other")
    with pytest.raises(UnknownGroup, match="table volume belongs to group x of package acme and to group y"):
        group_named("x")


@pytest.mark.parametrize("wanted", ["group('trading', 'mine')", "group('mine', 'orders')", "group('mine', 'trail')"])
def test_nobody_takes_our_name_or_our_tables(site: Path, wanted: str) -> None:
    """Whoever tries is refused; ours stays."""
    install(site, "acme", "x = acme:X", f"X = {wanted}")
    with pytest.raises(GroupsCollide) as caught:
        installed_groups()
    assert caught.value.groups[0].endswith(" of package byjy-events")
    assert found_groups().groups == OWN_GROUPS
    assert group_named("trading") is TRADING


def test_an_unknown_name_lists_the_known_ones(site: Path) -> None:
    """And what is wrong with others: it may have been one of them."""
    install(site, "acme", "x = acme:X", "X = group('volume', 'volume')")
    install(site, "bad", "y = bad:Y", "Y = 7")
    with pytest.raises(UnknownGroup) as caught:
        group_named("volumes")
    assert (caught.value.group, caught.value.known) == ("volumes", (*OWN, "volume"))
    assert [type(error) for error in caught.value.unusable] == [BrokenEntryPoint]
    assert str(caught.value) == (
        f"there is no group 'volumes'; installed are {', '.join(OWN)}, volume;"
        " package bad, entry point [y = bad:Y]: gives int, not a Group"
    )
