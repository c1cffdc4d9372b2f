"""How ``byjy`` is used: options, filters, errors in one line, tables that fit, and that the reference says it all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer

from byjy_ops.arguments import instant, mark
from byjy_ops.cli import answered, app
from tests.cli import ROOT, SECONDS, byjy, command, environment, imported, sample

HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def filled(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite file with the sample imported and projected, to be read only."""
    folder = tmp_path_factory.mktemp("cli")
    path = folder / "filled.db"
    shutil.copyfile(migrated_file, path)
    imported(f"sqlite:///{path}", sample(folder), sample(folder, name="ABC_2024-01-03_1_2_message_1.csv"))
    return f"sqlite:///{path}"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """In this process the command sends the library's log to a standard error that pytest closes afterwards."""
    yield
    structlog.reset_defaults()


class Cli:
    """``byjy`` in this process, which is faster."""

    def __init__(self, database: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._database = database
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = answered(["--database", self._database, *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def rows(self, *arguments: str) -> list[Any]:
        status, out, complaint = self(*arguments, "--json")
        assert status == 0, complaint
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def cli(filled: str, capsys: pytest.CaptureFixture[str]) -> Cli:
    """``byjy`` on the filled file."""
    return Cli(filled, capsys)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["orders"], 8),
        (["orders", "--pair", "XYZ"], 4),
        (["orders", "--pair", "nasdaq:ABC"], 4),
        (["orders", "--status", "FILLED"], 2),
        (["orders", "--status", "filled", "--status", "new", "--pair", "XYZ"], 2),
        (["orders", "--open"], 4),
        (["orders", "--account", "lobster"], 8),
        (["orders", "--account", "nobody"], 0),
        (["orders", "--since", "2024-01-03"], 4),
        (["orders", "--since", "1h"], 0),
        (["orders", "--limit", "3"], 3),
        (["orders", "--limit", "0"], 8),
        (["trades", "--pair", "ABC"], 3),
        (["trades", "--account", "nobody"], 0),
        (["trades", "--since", "2024-01-03T14:30:05Z"], 2),
        (["positions", "--pair", "ABC"], 1),
        (["positions", "--account", "lobster"], 2),
        (["positions", "--mark", "XYZ=101", "--mark", "nasdaq:ABC=.5", "--pair", "ABC"], 1),
        (["cycles"], 0),
        (["cycles", "--pair", "ABC", "--account", "lobster", "--since", "1h"], 0),
        (["anomalies", "--kind", "unknown_order"], 4),
        (["anomalies", "--kind", "LATE_FILL"], 0),
        (["anomalies", "--pair", "XYZ"], 2),
        (["anomalies", "--since", "1h"], 4),
        (["pairs", "--status", "trading"], 2),
        (["pairs", "--pair", "ABC", "--since", "2024-01-03"], 1),
    ],
)
def test_filters_choose_rows(cli: Cli, arguments: list[str], count: int) -> None:
    """Alone and together."""
    assert len(cli.rows(*arguments)) == count


def test_trades_and_anomalies_of_one_order_can_be_asked_for(cli: Cli) -> None:
    """By its own id."""
    filled = cli.rows("orders", "--status", "filled", "--pair", "XYZ")[0]["id"]
    external = next(row["id"] for row in cli.rows("orders", "--pair", "XYZ") if row["external"])
    assert len(cli.rows("trades", "--order", filled)) == 2
    assert len(cli.rows("anomalies", "--order", external)) == 1


def test_listings_come_whole_however_they_are_fetched(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of three rows as at once, in the same order, with a limit and without."""
    from byjy_ops import tables

    for listing in ("orders", "trades", "positions", "anomalies", "pairs"):
        whole = cli.rows(listing, "--limit", "0")
        for size in (1, 3):
            monkeypatch.setattr(tables, "CHUNK", size)
            assert cli.rows(listing, "--limit", "0") == whole
            assert cli.rows(listing, "--limit", "4") == whole[:4]
        monkeypatch.undo()


def test_a_listing_says_when_there_is_more_and_when_there_is_nothing(cli: Cli) -> None:
    """On standard error; a limit that is just enough is no news."""
    assert "there are more" in cli("orders", "--limit", "7")[2]
    assert cli("orders", "--limit", "8")[2] == ""
    assert cli("orders", "--account", "nobody") == (0, "", "byjy: nothing found\n")


def test_global_options_may_stand_behind_the_command(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With a blank or with an equals sign."""
    assert answered(["pairs", "--database", filled]) == 0
    assert answered(["pairs", f"--database={filled}", "--verbose"]) == 0
    assert "nasdaq" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nonsense"], "No such command"),
        (["orders", "--nonsense"], "--nonsense"),
        (["import"], "Missing command"),
        (["import", "lobster"], "FILE"),
        (["history"], "ORDER_ID"),
        (["history", "17"], "'17' is no UUID"),
        (["orders", "--limit", "-1"], "--limit"),
        (["orders", "--limit", "many"], "--limit"),
        (["orders", "--since", "yesterday"], "'yesterday' is no instant"),
        (["orders", "--status", "odd"], "'odd' is unknown; expected one of PENDING_NEW"),
        (["anomalies", "--kind", "odd"], "expected one of UNKNOWN_ORDER"),
        (["orders", "--pair", "QQQ"], "no pair is called 'QQQ'"),
        (["positions", "--mark", "XYZ"], "'--mark': 'XYZ' names no pair and price; expected [EXCHANGE:]SYMBOL=PRICE"),
        (["positions", "--mark", "=1"], "'=1' names no pair and price"),
        (["positions", "--mark", "XYZ="], "'XYZ=': '' is no price; expected plain digits such as 61000.5"),
        (["positions", "--mark", "XYZ=NaN"], "'XYZ=NaN': 'NaN' is no price"),
        (["positions", "--mark", "XYZ=Infinity"], "'Infinity' is no price"),
        (["positions", "--mark", "XYZ=1_000"], "'1_000' is no price"),
        (["positions", "--mark", "XYZ=6e4"], "'6e4' is no price"),
        (["positions", "--mark", f"XYZ=1{20 * '0'}"], "more than 20 digits before the decimal point"),
        (["positions", "--mark", f"XYZ=0.{18 * '0'}1"], "more than 18 decimals"),
        (["positions", "--mark", "QQQ=1"], "--mark: no pair is called 'QQQ'"),
        (["as-of", "3", "orders", "--mark", "XYZ=1"], "--mark: orders has nothing that could be valued so"),
        (["in-doubt", "--pair", "XYZ"], "--pair"),
        (["events", "--after", "x"], "--after"),
        (["events", "--after", "-1"], "--after"),
        (["events", "--after", f"{2**63}"], "--after"),
        (["orders", "--database"], "'--database' requires an argument"),
        (["import", "lobster", "--date", "21.6.2012", "x.csv"], "expected YYYY-MM-DD"),
        (["import", "lobster", "GONE_2012-06-21_1_2_message_1.csv"], "GONE_2012-06-21_1_2_message_1.csv: No such file"),
        (["import", "lobster", "gone.csv"], "gone.csv: No such file"),
        (["status", "--database", "oracle://x"], "oracle is not supported"),
        (["migrate", "--database", "sqlite:////no/such/folder/x.db"], "No such file or directory"),
        (["orders", "--database", "sqlite:///no-such-file.db"], "does not exist"),
        (["status", "--database", "postgresql://nobody@127.0.0.1:1/x"], "postgresql://nobody@127.0.0.1:1/x: "),
    ],
)
def test_bad_usage_is_one_line_and_status_two(cli: Cli, arguments: list[str], reason: str) -> None:
    """That names what is wrong; nothing goes to standard output."""
    status, out, complaint = cli(*arguments)
    assert (status, out) == (2, "")
    assert complaint.startswith("byjy: ")
    assert complaint.count("\n") == 1
    assert reason in complaint


def test_a_malformed_line_is_named_by_file_line_and_column(tmp_path: Path) -> None:
    """The way an editor can jump to it; --verbose adds the traceback before it."""
    path = sample(tmp_path, ["34200,1,101,100,1000000,1", "34201,1,102,x,1000000,1"])
    database = f"sqlite:///{tmp_path / 'x.db'}"
    done = byjy("import", "lobster", str(path), database=database)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"byjy: {path}:2: size: expected a whole number of at least 1, found 'x'\n"
    verbose = byjy("import", "lobster", str(path), "--verbose", database=database)
    assert verbose.stderr.startswith("Traceback")
    assert verbose.stderr.splitlines()[-1] == done.stderr.rstrip()


def test_files_that_are_no_database_of_ours_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither garbage nor somebody else's tables are migrated."""
    import sqlite3

    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"neither fish nor fowl" * 100)
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE pets (name TEXT)")
    connection.close()
    for path, reason in ((garbage, "not a database"), (foreign, "of something else")):
        before = path.read_bytes()
        for arguments in (["migrate"], ["status"], ["orders"], ["events"]):
            assert answered([*arguments, "--database", f"sqlite:///{path}"]) == 2
            assert reason in capsys.readouterr().err
        assert path.read_bytes() == before


def test_a_symbol_of_several_exchanges_has_to_be_named_in_full() -> None:
    """The error names the candidates; a symbol may hold a colon itself."""
    from uuid import uuid4

    from byjy_ops.errors import InvalidArgument
    from byjy_ops.pairs import PairName, Pairs

    names = [PairName("binance", "BTCUSDT"), PairName("kucoin", "BTCUSDT"), PairName("bybit", "BTC/USDT:USDT")]
    ids = [uuid4() for _ in names]
    pairs = Pairs(dict(zip(ids, names, strict=True)))
    with pytest.raises(InvalidArgument, match="binance:BTCUSDT, kucoin:BTCUSDT"):
        pairs.resolve("BTCUSDT")
    assert pairs.resolve("kucoin:BTCUSDT") == ids[1]
    assert pairs.resolve("BTC/USDT:USDT") == pairs.resolve("bybit:BTC/USDT:USDT") == ids[2]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2012-06-21", 1340236800 * 10**9),
        ("20120621", 1340236800 * 10**9),
        ("2012-06-21T13:30:00Z", 1340285400 * 10**9),
        ("2012-06-21 13:30", 1340285400 * 10**9),
        ("2012-06-21T09:30:00.004241176-04:00", 1340285400004241176),
        ("1340285400004241176", 1340285400004241176),
        ("2h", 100 * HOUR - 2 * HOUR),
        ("1.5h", 100 * HOUR - 3 * HOUR // 2),
        ("1d", 76 * HOUR),
    ],
)
def test_instants_are_exact(text: str, nanoseconds: int) -> None:
    """ISO 8601 to the nanosecond, nanoseconds themselves, or a time ago."""
    assert instant(text, now=100 * HOUR) == nanoseconds


@pytest.mark.parametrize("text", ["", "now", "2012-13-01", "2h30", "-2h", "9" * 19, "1e18", "12:00"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Rather than taken for something else."""
    with pytest.raises(typer.BadParameter):
        instant(text)


@pytest.mark.parametrize(
    ("text", "pair", "price"),
    [
        ("BTCUSDT=61000", "BTCUSDT", "61000"),
        ("binance:BTCUSDT=61000.50", "binance:BTCUSDT", "61000.5"),
        ("EURUSD=X=.5", "EURUSD=X", "0.5"),
        ("CL=-37.63", "CL", "-37.63"),
        ("X=0", "X", "0"),
    ],
)
def test_marks_are_exact(text: str, pair: str, price: str) -> None:
    """A price may be zero or negative; a symbol may hold an equals sign."""
    assert mark(text) == (pair, Decimal(price))
    assert str(mark(text).price) == price


def test_tables_fit_a_terminal_of_80_columns(filled: str, cli: Cli) -> None:
    """What there is no room for is named on standard error; into a pipe goes everything."""
    order = cli.rows("orders", "--status", "filled", "--pair", "XYZ")[0]["id"]
    for arguments in (
        ["orders"],
        ["trades"],
        ["positions"],
        ["positions", "--mark", "XYZ=99.5"],
        ["anomalies"],
        ["pairs"],
        ["events"],
        ["history", order],
    ):
        shown = on_terminal(filled, arguments, columns=80)
        assert max(len(line) for line in shown) <= 80, arguments
        assert len(shown) > 2
    assert any(order in line for line in on_terminal(filled, ["orders"], columns=80))
    assert "client_order_id" not in on_terminal(filled, ["orders"], columns=80)[0]
    assert "client_order_id" in cli("orders")[1]
    assert "unrealized_pnl" in on_terminal(filled, ["positions", "--mark", "XYZ=99.5"], columns=80)[0]


def on_terminal(database: str, arguments: list[str], columns: int) -> list[str]:
    """What stands on a terminal of so many columns after a command, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    without_size = {name: value for name, value in environment(database).items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command(*arguments),
        env={**without_size, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65_536):
            written += piece
    except OSError:  # so Linux says that the other end was closed
        pass
    os.close(ours)
    assert process.wait(SECONDS) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).splitlines()


def test_what_a_venue_says_cannot_steer_the_terminal() -> None:
    """Control characters are shown, not sent; brackets are no markup."""
    from byjy_ops.listing import text

    assert text("\x1b[2Jgone\nline") == "\\x1b[2Jgone\\nline"
    assert text("[bold]BTC/USDT") == "[bold]BTC/USDT"


def test_help_starts_without_the_slow_libraries() -> None:
    """Neither the database nor the migrations are imported before a command needs them."""
    program = (
        "import sys; from byjy_ops.cli import answered; answered(['--help']);"
        "print(sorted({'sqlalchemy', 'alembic', 'asyncpg', 'byjy_events'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(None),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_reading_does_not_import_alembic(filled: str) -> None:
    """Only a migration needs it."""
    program = (
        "import sys; from byjy_ops.cli import answered; answered(['orders']);"
        "print('alembic' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(filled),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stderr == "False\n"


def commands() -> list[tuple[str, Any]]:
    """Every command with its full name, from the tree itself."""
    found = []
    waiting = [("byjy", typer.main.get_command(app))]
    while waiting:
        name, one = waiting.pop()
        children = getattr(one, "commands", None)
        if children is None:
            found.append((name, one))
        else:
            waiting += [(f"{name} {child}", children[child]) for child in children]
    return sorted(found, key=lambda pair: pair[0])


def test_the_reference_names_every_command_and_option() -> None:
    """Each command has its section, and each option of it is named there or among the common ones."""
    text = (ROOT / "docs/reference/cli.md").read_text()
    sections = {part.partition("\n")[0].strip("` "): part for part in text.split("\n## ")}
    common = sections["What holds for every command"]
    top = typer.main.get_command(app)
    for parameter in top.params:
        assert f"`{parameter.opts[0]}" in common, parameter.opts
    assert len(commands()) > 70
    for name, one in commands():
        section = next(
            (part for title, part in sections.items() if title == name or title.startswith(f"{name} ")), None
        )
        assert section is not None, f"{name} has no section"
        for parameter in one.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"`{option}" in section, f"{name} {option}"


def test_every_option_has_a_help_text() -> None:
    """And so has every command."""
    for name, one in commands():
        assert one.help, name
        assert all(getattr(parameter, "help", None) for parameter in one.params), name


def test_the_demo_is_called_as_it_wants(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It has its own defaults; a database only from the command line, never from the environment."""
    import byjy_ops.demo

    asked: list[dict[str, Any]] = []

    def run_demo(**arguments: Any) -> int:
        asked.append(arguments)
        return 1

    monkeypatch.setattr(byjy_ops.demo, "run_demo", run_demo)
    monkeypatch.setenv("BYJY_DATABASE_URL", "sqlite:///precious.db")
    assert answered(["demo"]) == 1
    assert answered(["demo", "--events", "7", "--seed", "3", "--database", "sqlite:///fresh.db"]) == 1
    assert asked == [
        {"database": None},
        {"events": 7, "seed": 3, "database": "sqlite:///fresh.db"},
    ]
