"""``byjy copy``: a log moved to another database by one command, its tables replayed and everything verified."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from byjy_events import EventLog, migrating
from byjy_events.database import display, parse_url
from byjy_events.proof.tables import merkle_nodes
from byjy_ops import copying
from byjy_ops.cli import answered
from projections import TRADING, catch_up, verify
from projections.checkpoints import projection_checkpoints
from projections.registry import OWN_GROUPS
from projections.tables import orders
from tests.cli import byjy
from tests.copies import WAYS, Filled, assert_equal, filled, new_databases, rows
from tests.plugins import install
from tests.sealed import grow, vandal
from tests.tampering import tamper

Cli = Callable[..., tuple[int, str, str]]

ONE_WAY = pytest.mark.parametrize("ends", WAYS[:1], indirect=True, ids="-to-".join)
ON_SQLITE = pytest.mark.parametrize("ends", WAYS[2:], indirect=True, ids="-to-".join)

PASSWORD = "hunter2"


@pytest.fixture(params=WAYS[:2], ids="-to-".join)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The URLs of two fresh databases."""
    folder = tmp_path / "ends"
    folder.mkdir()
    with new_databases(request.param, folder, request) as urls:
        yield urls


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs ``byjy copy`` in this process: exit status, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = answered(["copy", *arguments])
        return status, *capfd.readouterr()

    yield run
    structlog.reset_defaults()


@pytest.fixture
def original(ends: list[str]) -> Filled:
    """What the source holds."""
    return asyncio.run(filled(ends[0]))


def in_log(url: str, work: Callable[[EventLog], Any]) -> Any:
    async def run() -> Any:
        async with EventLog.open(url) as log:
            return await work(log)

    return asyncio.run(run())


def test_it_says_what_it_copied_and_what_was_verified(ends: list[str], original: Filled, cli: Cli) -> None:
    """And the target's tables are those that the source's log makes. Again, it says that nothing was left to do."""
    status, out, told = cli(*ends)
    assert (status, told) == (0, "")
    shown = [display(parse_url(url)) for url in ends]
    lines = out.splitlines()
    assert lines[0] == " -> ".join(shown)
    assert lines[1].startswith(f"events: {original.size} copied, {original.size} there now, ")
    assert lines[2:6] == [
        "merkle_nodes: 1 copied, 1 there now",
        "tree_checkpoints: 2 copied, 2 there now",
        "key_store: 3 copied, 3 there now",
        "system_logs: 7 copied, 7 there now",
    ]
    assert lines[6:10] == [f"{group.name}: replayed up to {original.size}" for group in OWN_GROUPS]
    assert lines[10].startswith("both logs have the root ")
    audited = f"{original.size} events and 2 checkpoints audited, nothing found"
    assert lines[11:13] == [f"{url}: {audited}" for url in shown]
    assert lines[13:] == [f"{group.name}: tables equal the log" for group in OWN_GROUPS]
    asyncio.run(assert_equal(*ends))
    in_log(ends[0], lambda log: catch_up(log, TRADING))
    assert asyncio.run(rows(ends[1], orders)) == asyncio.run(rows(ends[0], orders))
    assert f"events: 0 copied, {original.size} there now\n" in cli(*ends)[1]


@ONE_WAY
def test_as_json_it_is_one_object(ends: list[str], original: Filled, cli: Cli) -> None:
    """For a program that decides whether the URL may be switched."""
    status, out, _ = cli(*ends, "--json")
    (summary,) = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert (summary["verified"], summary["before"], summary["position"]) == (True, 0, original.size)
    assert summary["source_head"] == original.size
    assert (summary["source"], summary["target"]) == tuple(display(parse_url(url)) for url in ends)
    assert [one["position"] for one in summary["groups"]] == [original.size] * len(OWN_GROUPS)
    assert {one["name"]: one["rows"] for one in summary["tables"]}["key_store"] == 3


@ONE_WAY
def test_a_target_of_two_rounds_without_verification_is_verified_by_hand(
    ends: list[str], original: Filled, cli: Cli
) -> None:
    """The tables are replayed all the same."""
    assert "not audited and not verified" in cli(*ends, "--no-verify")[2]
    in_log(ends[0], lambda log: grow(log, 3))
    status, out, _ = cli(*ends, "--no-verify", "--json")
    summary = json.loads(out)
    assert (status, summary["verified"], summary["before"]) == (0, None, original.size)
    verification = in_log(ends[1], lambda log: verify(log, TRADING))
    assert (verification.differences, verification.position) == (0, original.size + 3)


@ONE_WAY
def test_a_target_without_a_schema_gets_one(ends: list[str], original: Filled, cli: Cli, tmp_path: Path) -> None:
    """A file that does not exist is made."""
    target = f"sqlite:///{tmp_path / 'new.db'}"
    assert cli(ends[0], target)[0] == 0
    asyncio.run(assert_equal(ends[0], target))


@ONE_WAY
def test_rows_that_differ_are_a_negative_answer(ends: list[str], original: Filled, cli: Cli) -> None:
    """The copy stands; what is wrong is said."""
    assert cli(*ends)[0] == 0
    asyncio.run(tamper(ends[1], "orders", "DIFFERENT"))
    status, out, _ = cli(*ends)
    assert status == 1
    assert "trading: 1 rows differ from the log\n" in out
    assert json.loads(cli(*ends, "--json")[1])["verified"] is False


@ONE_WAY
def test_what_the_audit_finds_is_told_of_both_ends(ends: list[str], original: Filled, cli: Cli) -> None:
    """A stored subtree that is wrong at the source is copied as it is, and found."""

    async def spoil() -> None:
        async with vandal(ends[0]) as connection:
            await connection.execute(sa.update(merkle_nodes).values(hash=bytes(32)))

    asyncio.run(spoil())
    status, out, _ = cli(*ends)
    assert status == 1
    for url in ends:
        assert f"{display(parse_url(url))}: SUBTREE at 1 to 256: " in out
    findings = [json.loads(line) for line in cli(*ends, "--json")[1].splitlines()]
    assert [one["type"] for one in findings] == ["finding", "finding", "summary"]


def test_passwords_are_never_shown(ends: list[str], original: Filled, cli: Cli) -> None:
    """Neither in what is said nor in an error."""
    urls = [url.replace("postgres@", f"postgres:{PASSWORD}@") for url in ends]
    assert urls != ends
    said = "".join(map(str, [*cli(*urls), *cli(*urls, "--json"), *cli(*reversed(urls))]))
    in_log(ends[1], lambda log: grow(log, 1))
    for arguments in (urls, (*urls, f"postgresql://me:{PASSWORD}@host/name")):
        refused = cli(*arguments)
        assert refused[0] == 2
        said += "".join(map(str, refused))
    assert PASSWORD not in said


@ON_SQLITE
def test_nothing_is_made_where_there_is_no_source(ends: list[str], cli: Cli, tmp_path: Path) -> None:
    """Neither a file of the one nor of the other; --database is refused, since it would name a third."""
    gone, target = tmp_path / "gone.db", tmp_path / "target.db"
    status, _, told = cli(f"sqlite:///{gone}", f"sqlite:///{target}")
    assert status == 2
    assert "does not exist" in told
    assert not gone.exists()
    assert not target.exists()
    assert "copy names its databases itself" in cli(*ends, "--database", ends[0])[2]


@ONE_WAY
def test_a_database_that_cannot_be_reached_is_named(ends: list[str], cli: Cli) -> None:
    """Whichever of the two it is."""
    nowhere = "postgresql://nobody@127.0.0.1:1/x"
    for arguments in ((nowhere, ends[0]), (ends[0], nowhere)):
        status, _, told = cli(*arguments)
        assert status == 2
        assert told.startswith(f"byjy: {nowhere}: ")
        assert told.count("\n") == 1


@ON_SQLITE
def test_a_source_of_an_older_schema_is_to_be_migrated_first(ends: list[str], cli: Cli) -> None:
    """The error names the command; the same holds for a target."""
    asyncio.run(migrating.downgrade(ends[0]))
    for arguments in (ends, ends[::-1]):
        status, _, told = cli(*arguments)
        assert status == 2
        assert told.endswith(f"run: byjy --database {ends[0]} migrate\n")


@ONE_WAY
def test_tables_of_another_log_are_refused(ends: list[str], original: Filled, cli: Cli) -> None:
    """They say that they are of events that the target does not have."""

    async def leave_behind() -> None:
        async with vandal(ends[1]) as connection:
            row = {"group_name": "trading", "position": 5, "version": "x", "status": "RUNNING", "updated_at": 1}
            await connection.execute(sa.insert(projection_checkpoints).values(row))

    asyncio.run(leave_behind())
    status, _, told = cli(*ends)
    assert status == 2
    assert "tables of trading as of position 5, and a log that ends at 0" in told


@ONE_WAY
def test_a_source_that_grew_meanwhile_is_told_of(
    ends: list[str], original: Filled, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how much; the same command copies the rest."""

    @contextmanager
    def growing(what: str) -> Iterator[Callable[[int, int], None]]:
        if what.startswith("verifying trading"):
            thread = threading.Thread(target=lambda: in_log(ends[0], lambda log: grow(log, 2)))
            thread.start()
            thread.join()
        yield lambda reached, aimed: None

    monkeypatch.setattr(copying, "replay_progress", growing)
    status, _, told = cli(*ends)
    assert (status, told) == (
        0,
        "byjy: the source has grown by 2 events since it began; the same command copies them\n",
    )
    monkeypatch.undo()
    assert cli(*ends)[2] == ""
    asyncio.run(assert_equal(*ends))


@ONE_WAY
def test_a_group_without_tables_at_the_target_harms_no_other(
    ends: list[str], original: Filled, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of other packages are for their makers to create; it is named when everything else is done."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "own-groups", "mine = own_groups:GROUP", 'GROUP = group("mine", "mine_rows")\n')
    monkeypatch.syspath_prepend(str(site))
    status, out, told = cli(*ends)
    assert status == 2
    assert "mine_rows" in told
    assert out.endswith("trail: tables equal the log\n")
    asyncio.run(assert_equal(*ends))


@ONE_WAY
def test_it_is_a_command_of_its_own_process(ends: list[str], original: Filled) -> None:
    """As an operator runs it; a source that grew meanwhile would be told of."""
    done = byjy("copy", *ends)
    assert (done.returncode, done.stderr) == (0, "")
    assert "both logs have the root" in done.stdout
