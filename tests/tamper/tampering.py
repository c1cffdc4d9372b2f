"""What somebody who owns the database can do to a log, each with what the audit has to say about it.

A tampering changes the tables by raw SQL and says where: the first position that is not as it was appended. Wherever an
event itself shows it, the audit has to name that very position; else a span that holds it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.proof.finding import FindingKind
from byjy_events.proof.merkle import full_root, root_of
from byjy_events.proof.tables import FAN_OUT, merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from tests.tamper.sealed import EVENTS, SIZES

c = events.c
FOREVER = 2**62
"""A position that the log will not reach."""


class Expected(NamedTuple):
    """What the audit has to find.

    Attributes:
        position: the first one that is not as it was.
        kinds: one of these is the kind of the finding.
        exact: whether a finding of these kinds has to name the position itself, and not only a span around it.
        until: the last one that is not as it was: nothing behind it may be blamed. None: all the rest may be.
    """

    position: int
    kinds: frozenset[FindingKind]
    exact: bool = True
    until: int | None = None


Tampering = Callable[[AsyncConnection, random.Random], Awaitable[Expected]]

ALTERED = frozenset({FindingKind.ALTERED})
REWRITTEN = frozenset({FindingKind.REWRITTEN})
TRUNCATED = frozenset({FindingKind.TRUNCATED})
MISSING = frozenset({FindingKind.MISSING})


async def payload_flipped(connection: AsyncConnection, chance: random.Random) -> Expected:
    """One bit of what an event says."""
    row = await _some(connection, chance)
    return await _altered(connection, row, payload=_flipped(row["payload"], chance))


async def column_changed(connection: AsyncConnection, chance: random.Random) -> Expected:
    """Anything else of an event."""
    row = await _some(connection, chance)
    other = await _some(connection, chance)
    changes: dict[str, Callable[[], Any]] = {
        "event_id": lambda: UUID(int=row["event_id"].int ^ 1 << chance.randrange(128)),
        "stream_category": lambda: "0rder",
        "stream_id": lambda: UUID(int=row["stream_id"].int ^ 1),
        "stream_version": lambda: row["stream_version"] + EVENTS,
        "type": lambda: row["type"] + "s",
        "schema_version": lambda: row["schema_version"] + 1,
        "occurred_at": lambda: (row["occurred_at"] or 0) + 1,
        "received_at": lambda: row["received_at"] - 1,
        "recorded_at": lambda: row["recorded_at"] + 1,
        "actor": lambda: f"not {other['actor']}",
        "correlation_id": lambda: row["event_id"],
        "causation_id": lambda: row["event_id"],
    }
    name = chance.choice(sorted(changes))
    return await _altered(connection, row, **{name: changes[name]()})


async def hash_changed(connection: AsyncConnection, chance: random.Random) -> Expected:
    """The leaf hash alone."""
    row = await _some(connection, chance)
    return await _altered(connection, row, leaf_hash=_flipped(row["leaf_hash"], chance))


async def deleted(connection: AsyncConnection, chance: random.Random) -> Expected:
    """An event, or some in a row, out of the middle."""
    first = chance.randrange(1, EVENTS)
    last = min(EVENTS - 1, first + chance.choice((0, 0, 1, 10)))
    await connection.execute(sa.delete(events).where(c.position.between(first, last)))
    return Expected(first, MISSING, exact=first == last, until=last)


async def tail_cut(connection: AsyncConnection, chance: random.Random) -> Expected:
    """The newest events, and of the tree what tells of them."""
    kept = chance.randrange(EVENTS)
    await connection.execute(sa.delete(events).where(c.position > kept))
    if chance.random() < 0.5:
        await _forget_tree(connection, kept)
    return Expected(kept + 1, TRUNCATED, exact=kept == EVENTS - 1)


async def set_back(connection: AsyncConnection, chance: random.Random) -> Expected:
    """To how it was when it was sealed before: every table agrees with every other one."""
    kept = chance.choice(SIZES[:-1])
    await connection.execute(sa.delete(events).where(c.position > kept))
    await _forget_tree(connection, kept)
    return Expected(kept + 1, TRUNCATED, exact=False)


async def swapped(connection: AsyncConnection, chance: random.Random) -> Expected:
    """Two events trade places, with everything but position and hash."""
    one, other = sorted(
        (await _some(connection, chance), await _some(connection, chance)), key=lambda row: row["position"]
    )
    if one["position"] == other["position"]:
        return await payload_flipped(connection, chance)
    await connection.execute(sa.delete(events).where(c.position.in_([one["position"], other["position"]])))
    for row, place in ((one, other), (other, one)):
        moved = {**row, "position": place["position"]}
        if chance.random() < 0.5:
            moved["leaf_hash"] = place["leaf_hash"]
        await connection.execute(sa.insert(events).values(moved))
    return Expected(one["position"], ALTERED, until=other["position"])


async def inserted_beyond(connection: AsyncConnection, chance: random.Random) -> Expected:
    """A copy of an event somewhere behind the end."""
    row = await _some(connection, chance)
    position = EVENTS + chance.choice((2, 3, 1_000_000, FOREVER))
    copy = {**row, "position": position, "event_id": UUID(int=position)}
    await connection.execute(sa.insert(events).values({**copy, "stream_version": EVENTS}))
    return Expected(EVENTS + 1, MISSING, exact=position == EVENTS + 2)


async def inserted_between(connection: AsyncConnection, chance: random.Random) -> Expected:
    """A made-up event with a hash of its own; all later ones move on by one, and keep their hashes."""
    row = await _some(connection, chance)
    position = row["position"]
    await _without_checks(connection)
    for sign in (-1, 1):  # by way of negative numbers, since positions are unique
        shift = sa.update(events).where(c.position >= position if sign < 0 else c.position < 0)
        await connection.execute(shift.values(position=-(c.position + 1) if sign < 0 else -c.position))
    made_up_id = UUID(int=position)
    made_up = {**row, "event_id": made_up_id, "stream_id": made_up_id, "stream_version": 1, "payload": b"{}"}
    await connection.execute(sa.insert(events).values({**made_up, "leaf_hash": _leaf(made_up)}))
    return Expected(position, REWRITTEN, exact=False)


async def rewritten(connection: AsyncConnection, chance: random.Random) -> Expected:
    """An event with a hash computed anew."""
    return await _rewritten(connection, await _some(connection, chance))


async def rewritten_in_front_of_a_hole(connection: AsyncConnection, chance: random.Random) -> Expected:
    """An event with a hash computed anew, and behind the next checkpoint an event less, which draws the eye."""
    row = await _some(connection, chance, upto=SIZES[-2])
    covering = next(size for size in SIZES if size >= row["position"])
    expected = await _rewritten(connection, row)
    await connection.execute(sa.delete(events).where(c.position == chance.randrange(covering + 1, EVENTS)))
    return expected


async def inserted_in_front(connection: AsyncConnection, chance: random.Random) -> Expected:
    """A copy of an event where nobody reads."""
    row = await _some(connection, chance)
    position = -chance.choice((0, 1, 2, FOREVER))
    await _without_checks(connection)
    await connection.execute(
        sa.insert(events).values({**row, "position": position, "event_id": UUID(int=1), "stream_version": EVENTS})
    )
    return Expected(0, frozenset({FindingKind.STRAY}), until=0)


async def rewritten_with_tree(connection: AsyncConnection, chance: random.Random) -> Expected:
    """An event, its hash, and the whole tree; only the signatures cannot be made."""
    expected = await _rewritten(connection, await _some(connection, chance))
    leaves = [bytes(leaf) for leaf in (await connection.execute(sa.select(c.leaf_hash).order_by(c.position))).scalars()]
    for number in range(EVENTS // FAN_OUT):
        root = full_root(leaves[number * FAN_OUT : (number + 1) * FAN_OUT])
        await connection.execute(sa.update(merkle_nodes).where(merkle_nodes.c.number == number).values(hash=root))
    if chance.random() < 0.5:  # and the checkpoints in the database are made to fit, but for what they are signed with
        for size in SIZES:
            of_size = tree_checkpoints.c.size == size
            await connection.execute(sa.update(tree_checkpoints).where(of_size).values(root=root_of(leaves[:size])))
        return Expected(expected.position, REWRITTEN | {FindingKind.CHECKPOINT}, exact=False)
    return expected


async def subtree_changed(connection: AsyncConnection, chance: random.Random) -> Expected:
    """A stored subtree, or there is none any more."""
    number = chance.randrange(EVENTS // FAN_OUT)
    of_number = merkle_nodes.c.number == number
    if chance.random() < 0.5:
        await connection.execute(sa.delete(merkle_nodes).where(of_number))
    else:
        await connection.execute(sa.update(merkle_nodes).where(of_number).values(hash=chance.randbytes(32)))
    return Expected(number * FAN_OUT + 1, frozenset({FindingKind.SUBTREE}), exact=False)


async def checkpoint_changed(connection: AsyncConnection, chance: random.Random) -> Expected:
    """A stored checkpoint: its row, its text or its signature."""
    size = chance.choice(SIZES)
    of_size = tree_checkpoints.c.size == size
    note = (await connection.execute(sa.select(tree_checkpoints.c.note).where(of_size))).scalar_one()
    changes: list[Mapping[str, Any]] = [
        {"root": chance.randbytes(32)},
        {"note": note.replace(f"\n{size}\n", f"\n{size + 1}\n")},
        {"note": note[:-9] + ("A" if note[-9] != "A" else "B") + note[-8:]},
        {"note": ""},
    ]
    await connection.execute(sa.update(tree_checkpoints).where(of_size).values(chance.choice(changes)))
    return Expected(size, frozenset({FindingKind.CHECKPOINT}), exact=False)


TAMPERINGS: tuple[Tampering, ...] = (
    payload_flipped, column_changed, hash_changed, deleted, tail_cut, set_back, swapped, inserted_beyond,
    inserted_in_front, inserted_between, rewritten, rewritten_in_front_of_a_hole, rewritten_with_tree,
    subtree_changed, checkpoint_changed,
)  # fmt: skip


async def _some(connection: AsyncConnection, chance: random.Random, *, upto: int = EVENTS) -> dict[str, Any]:
    row = (await connection.execute(sa.select(events).where(c.position == chance.randint(1, upto)))).one()
    return dict(row._mapping)


async def _altered(connection: AsyncConnection, row: Mapping[str, Any], **changes: Any) -> Expected:
    await connection.execute(sa.update(events).where(c.position == row["position"]).values(changes))
    return Expected(row["position"], ALTERED, until=row["position"])


async def _rewritten(connection: AsyncConnection, row: Mapping[str, Any]) -> Expected:
    changed = {**row, "payload": bytes(row["payload"]).replace(b'"main"', b'"mine"')}
    await _altered(connection, row, payload=changed["payload"], leaf_hash=_leaf(changed))
    return Expected(row["position"], REWRITTEN, exact=False)


async def _forget_tree(connection: AsyncConnection, kept: int) -> None:
    await connection.execute(sa.delete(merkle_nodes).where(merkle_nodes.c.number >= kept // FAN_OUT))
    await connection.execute(sa.delete(tree_checkpoints).where(tree_checkpoints.c.size > kept))


async def _without_checks(connection: AsyncConnection) -> None:
    """Negative positions are against a CHECK."""
    if connection.dialect.name == "sqlite":
        await connection.execute(sa.text("PRAGMA ignore_check_constraints = ON"))
    else:
        await connection.execute(sa.text("ALTER TABLE events DROP CONSTRAINT IF EXISTS ck_events_position"))


def _flipped(data: Any, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _leaf(row: Mapping[str, Any]) -> bytes:
    def raw(name: str) -> bytes | None:
        return None if row[name] is None else row[name].bytes

    content = content_hash(
        row["event_id"].bytes, row["stream_category"], row["stream_id"].bytes, row["type"], row["schema_version"],
        bytes(row["payload"]), row["occurred_at"], row["received_at"], row["actor"],
        raw("correlation_id"), raw("causation_id"),
    )  # fmt: skip
    return leaf_hash(content, row["position"], row["stream_version"], row["recorded_at"])
