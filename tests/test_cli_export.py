"""``byjy export`` and ``byjy export check``, as an operator runs them."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.identifiers import new_order_id
from byjy_events.proof import Signer
from byjy_events.stream import order_stream
from byjy_ops.cli import answered
from byjy_ops.exporting import Kind, manifest_path, read_manifest
from byjy_ops.exporting.columns import LAYOUTS
from projections import TRADING, catch_up
from tests.cli import ROOT, SECONDS, command, environment, imported, sample
from tests.exported import read_back
from tests.lifecycles import lifecycles
from tests.sample_events import placed
from tests.shared import shared_path
from tests.story import tell

Cli = Callable[..., tuple[int, str, str]]
LOBSTER = "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"
OPENING = 1_340_251_200 * 10**9
"""2012-06-21, midnight in New York."""
KINDS = ("events", "orders", "trades", "positions", "anomalies")


@pytest.fixture
def filled(database: str) -> str:
    """The lives of some orders, projected, and an order more that is not."""

    async def work() -> None:
        async with EventLog.open(database) as log:
            await tell(log, lifecycles(1, 20))
            await catch_up(log, TRADING)
            await log.append(order_stream(new_order_id()), [placed()], actor="strategy:mm-1")

    asyncio.run(work())
    return database


@pytest.fixture
def cli(filled: str, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command on that database, in this process: its exit status, and what it wrote where."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = answered(["--database", filled, *arguments])
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


def test_an_operator_exports_and_checks(cli: Cli, tmp_path: Path) -> None:
    """One line says what was written; tables behind the log are a second one; a check needs no database."""
    path = tmp_path / "orders.csv"
    done = cli("export", "orders", "--output", str(path))
    told = read_manifest(manifest_path(path))
    head = told.positions.head
    summary = f"20 orders of positions {told.positions.first} to {head - 1}, as of {head - 1}, sha256 {told.sha256}"
    assert (done[0], done[1]) == (0, f"{path}: {summary}\n")
    assert done[2] == (
        "byjy: the tables are 1 events behind the log, and so is the export; byjy project brings them up to it,"
        f" and --as-of {head} exports them as of its head in any case\n"
    )
    checked = cli("export", "check", str(path), "--database", "postgresql://nobody@nowhere/nothing")
    assert (checked[0], checked[2]) == (0, "")
    assert checked[1] == (
        f"{path}: holds: {summary}\n"
        f"{path}: no signed checkpoint covers it: whoever has the file and the manifest could have made both anew\n"
    )
    again = cli("export", "orders", "--output", str(path), "--as-of", str(head))
    assert (again[0], again[2]) == (
        2, f"byjy: {path}: exists already; --force puts the export in its place\n"
    )  # fmt: skip
    exact = cli("export", "orders", "-o", str(path), "--as-of", str(head), "--force", "--json")
    assert (exact[0], exact[2]) == (0, "")
    assert json.loads(exact[1]) == json.loads(manifest_path(path).read_text())
    assert json.loads(exact[1])["rows"] == 21


def test_a_public_key_tells_what_is_proved(cli: Cli, tmp_path: Path) -> None:
    """Of events that they are the log's own, of a table that it was covered; without the key what was not looked at."""
    key, public = tmp_path / "key", tmp_path / "public"
    assert cli("export", "events", "-o", str(tmp_path / "no.csv"), "--as-of", "sealed")[2].startswith(
        "byjy: --as-of: no"
    )
    made = cli("signing-key", "init", "--name", "example.com/t", "--file", str(key))
    public.write_text(made[1])
    assert cli("seal", "--signing-key", str(key))[0] == 0
    events, orders = tmp_path / "events.csv", tmp_path / "orders.csv"
    for path, kind in ((events, "events"), (orders, "orders")):
        assert cli("export", kind, "-o", str(path), "--as-of", "sealed")[0] == 0
    told = read_manifest(manifest_path(events)).positions
    named = f"the checkpoint of example.com/t over {told.as_of} events"
    for path, option, sentence in (
        (events, (), f"whether {named} is signed was not looked at: --key KEY"),
        (
            events,
            ("--key", str(public)),
            f"proved: positions 1 to {told.as_of} are what the log had under {named}, none is",
        ),
        (
            orders,
            ("--key", made[1].strip()),
            f"signed: {named}; it covers the export, but rows of a table are not proved",
        ),
    ):
        done = cli("export", "check", str(path), *option)
        assert (done[0], done[1].splitlines()[1].startswith(f"{path}: {sentence}")) == (0, True), done
    told_json = json.loads(cli("export", "check", str(events), "--key", str(public), "--json")[1])
    assert told_json["checkpoint"] == {"origin": "example.com/t", "size": told.as_of, "verified": True, "proves": True}
    other = Signer.new("example.com/t").verifier
    done = cli("export", "check", str(events), "--key", str(other))
    assert (done[0], done[2], done[1].startswith(f"{events}: checkpoint: signed by example.com/t+")) == (1, "", True)
    done = cli("export", "check", str(events), "--key", str(tmp_path / "none"))
    assert (done[0], done[2].startswith("byjy: --key: ")) == (2, True)


def test_a_wrong_line_is_named(cli: Cli, tmp_path: Path) -> None:
    """On standard output, with exit status 1; as an object for programs."""
    path = tmp_path / "events.jsonl"
    assert cli("export", "events", "-o", str(path))[0] == 0
    lines = path.read_bytes().split(b"\n")
    lines[16] = lines[16].replace(b'"actor":"engine"', b'"actor":"nobody"')
    path.write_bytes(b"\n".join(lines))
    done = cli("export", "check", str(path))
    first, second = done[1].splitlines()
    assert (done[0], done[2]) == (1, "")
    assert first.startswith(f"{path}: sha256 is ")
    assert second == f"{path}: line 17: position 17: altered; its leaf hash is of something else"
    told = json.loads(cli("export", "check", str(path), "--json")[1])
    assert (told["holds"], told["rows"], told["problems"][1]["place"]) == (False, 16, "line 17")
    manifest_path(path).unlink()
    done = cli("export", "check", str(path))
    assert (done[0], done[2]) == (2, f"byjy: {manifest_path(path)}: No such file or directory\n")


def test_standard_output_takes_rows_of_text(cli: Cli, filled: str, tmp_path: Path) -> None:
    """With the summary on standard error, and a manifest where one is named; whoever has enough may go."""
    told = tmp_path / "told.json"
    done = cli("export", "trades", "-o", "-", "--format", "csv", "--manifest", str(told))
    rows = list(csv.reader(io.StringIO(done[1], newline="")))
    manifest = read_manifest(told)
    assert (done[0], len(rows) - 1, rows[0]) == (0, manifest.rows, [one.name for one in manifest.columns])
    assert done[2].startswith(f"byjy: {manifest.rows} trades of positions ")
    lines = cli("export", "events", "--output", "-")[1].splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(1, len(lines) + 1))
    for wrong, reason in (("--format=parquet", "--output: Parquet goes into"), ("--json", "--json: standard output")):
        done = cli("export", "events", "-o", "-", wrong)
        assert (done[0], done[1], done[2].startswith(f"byjy: {reason}")) == (2, "", True)
    with subprocess.Popen(
        command("export", "events", "-o", "-"), env=environment(filled), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0


def test_every_option_reaches_the_export(cli: Cli, tmp_path: Path) -> None:
    """And what a kind cannot be filtered by, it has no option for."""
    given = {
        "--since": "2000-01-01", "--until": "2100-01-01", "--pair": "BTCUSDT", "--actor": "engine", "--account": "main"
    }  # fmt: skip
    without = {"events": ["--account"], "positions": ["--actor"], "anomalies": ["--account"]}
    for kind in KINDS:
        path = tmp_path / f"{kind}.parquet"
        options = [word for name, value in given.items() if name not in without.get(kind, []) for word in (name, value)]
        done = cli("export", kind, "-o", str(path), *options)
        assert done[0] == 0, done[2]
        filters = read_manifest(manifest_path(path)).filters
        assert (filters.since, filters.until) == ("2000-01-01T00:00:00.000000000Z", "2100-01-01T00:00:00.000000000Z")
        assert filters.pair == "binance:BTCUSDT"
        assert filters.actor == (None if "--actor" in without.get(kind, []) else "engine")
        assert filters.account == (None if "--account" in without.get(kind, []) else "main")
        for option in without.get(kind, []):
            done = cli("export", kind, "-o", str(path), option, "x")
            assert (done[0], option in done[2]) == (2, True)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor a file."""
    arguments = ["export", "events", "-o", str(tmp_path / "x.csv"), "--database", f"sqlite:///{tmp_path / 'no.db'}"]
    assert answered(arguments) == 2
    assert "does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_day_of_an_exchange_is_exported_exactly(tmp_path: Path) -> None:
    """Orders and fills as LOBSTER has them: what goes in from its file comes out of each format, to the nanosecond."""
    lines = 2_000
    source = shared_path(f"data/lobster/{LOBSTER}")
    with gzip.open(source, "rt") as file:
        some = [next(file).rstrip("\n") for _ in range(lines)]
    url = f"sqlite:///{tmp_path / 'log.db'}"
    path = sample(tmp_path, some, LOBSTER.removesuffix(".gz"))
    imported(url, path)
    filled = [fields for fields in (line.split(",") for line in some) if fields[1] == "4"]
    expected = [(since_midnight(fields[0]), int(fields[3]), int(fields[4])) for fields in filled]
    assert len(expected) > 50
    for file_format in ("jsonl", "csv", "parquet"):
        out = tmp_path / f"trades.{file_format}"
        assert answered(["export", "trades", "-o", str(out), "--database", url]) == 0
        rows = read_back(out, read_manifest(manifest_path(out)).columns)
        found = [(row["executed_at"] - OPENING, row["quantity"], row["price"] * 10_000) for row in rows]
        assert found == expected


def since_midnight(seconds: str) -> int:
    """Nanoseconds, of seconds with any number of digits behind the point."""
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 10**9 + int(f"{fraction:0<9}")


def test_the_reference_is_true(tmp_path: Path) -> None:
    """Its example is a manifest of this version, with the columns that anomalies have; each kind's key is told."""
    text = (ROOT / "docs/reference/export-manifest.md").read_text()
    path = tmp_path / "example.json"
    path.write_text(text.partition("```json\n")[2].partition("```")[0])
    assert read_manifest(path).columns == LAYOUTS[Kind.ANOMALIES].columns
    for kind, layout in LAYOUTS.items():
        key = ", ".join(f"`{name}`" for name in layout.key)
        assert f"| `{kind}` | {key} | `{layout.position}` |" in text
    assert ", ".join(f"`{column.name}`" for column in LAYOUTS[Kind.EVENTS].columns) in text
    guide = (ROOT / "docs/guide/exports.md").read_text()
    for kind, layout in LAYOUTS.items():
        (row,) = [line for line in guide.splitlines() if line.startswith(f"| {kind} | `{layout.time}` | yes |")]
        account, actor = (cell.strip() for cell in row.split("|")[4:6])
        assert (bool(account), bool(actor)) == ("account" in layout.filters, "actor" in layout.filters)
