"""Logging in, where anybody may try, in any number of processes at once.

**No more guesses than the policy has.** An attempt is recorded on the user's stream before the password is looked at,
with the exact version that was read, and counts as a failure from then on; only a success that follows makes it none.
So attempts at the same moment cannot all find the same count: one of them appends, the others conflict and decide anew,
and when the count says so they are refused. A process that dies in between leaves a failure that was none.

**The log grows by no more than the guesses that the policy has.** A refusal of a user who is locked out, is inactive or
does not exist appends nothing. Refusals of one who is locked out or inactive are counted in memory, and the next
attempt that is recorded says how many they were; what a process has not said when it ends is lost.

**One attempt at a time for each name.** Within a process they wait for each other: otherwise several right passwords at
once, each counted as a failure until it is checked, would lock out their user. Between processes that can happen, for
as long as the first delay. Who conflicts all the time is refused in the end, rather than told of it.

**Nobody learns which names there are.** The error is the same for all causes. A user who is not there, is inactive or
locked out costs the same computation as a wrong password: a hash that no password has is checked. But the path of a
user who is there waits for the disk as well. So a refusal is answered only when a whole number of quanta has gone by
since the call: what differs by milliseconds ends at the same time, unless the end of a quantum lies between. Whoever
can make checks wait for each other until it does, by a flood, may learn more in the long run. So may everybody while
the disk or the key fails: then the call raises, for users who are there. A success is answered at once: it is no secret
to whoever has the password.

**The loop goes on.** Passwords are hashed in a thread, one after another. Whoever waits for that may be cancelled, and
then is not hashed; the attempt counts all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Unpack
from uuid import UUID
from weakref import WeakValueDictionary

from byjy_events.errors import VersionConflict
from byjy_events.event import Event
from byjy_events.log import EventLog
from byjy_events.recorded import Entry, Receipt
from byjy_events.sealing import Erased, Vault
from byjy_events.secret import Secret
from byjy_events.stream import Stream, user_stream
from byjy_events.vocabulary.users import LoginReserved, Role
from projections.recording import Acting
from projections.reservations import holder_of
from projections.users import deciding
from projections.users.current import Current, current_user
from projections.users.errors import InvalidEmail, InvalidUsername, LoginRefused
from projections.users.lockout import LockoutPolicy
from projections.users.passwords import Passwords
from projections.users.spelling import EMAIL_PURPOSE, Email, Name, email_reservation, username_reservation

DECISIONS = 50
"""Times that one attempt decides. Each conflict is an attempt of another process that was recorded, and few of those
lock the user out; so more than some are no accident."""

QUANTUM_SECONDS = 1.0

REMEMBERED = 1_000
"""Users that are kept in memory as they were read last, so that a login does not read all logins before it."""


class Authenticated(NamedTuple):
    """Who logged in.

    Attributes:
        role: as it was at that moment.
        receipt: of the success: wait for its ``position``, and the table says so too.
    """

    user_id: UUID
    username: str
    role: Role
    receipt: Receipt


class _Checked(NamedTuple):
    """A right password.

    Attributes:
        sealed: the hash that it was checked by, as the user's row has it.
        plain: the same, not sealed.
    """

    user_id: UUID
    sealed: bytes
    plain: Secret[str]


class Logins:
    """Checks passwords. Any number of tasks may use it, and any number of processes their own."""

    def __init__(
        self,
        log: EventLog,
        vault: Vault,
        passwords: Passwords | None = None,
        *,
        policy: LockoutPolicy | None = None,
        quantum_seconds: float = QUANTUM_SECONDS,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """
        Args:
            passwords: how passwords are hashed; unless given, with the recommended parameters.
            policy: when failures lock a user out. All processes should have the same.
            quantum_seconds: refusals are answered at multiples of this; longer than a check takes.
            clock: nanoseconds UTC; the clocks of several processes should agree within the first delay.
        """
        self._log = log
        self._vault = vault
        self._passwords = passwords or Passwords()
        self._policy = policy or LockoutPolicy()
        self._quantum_seconds = quantum_seconds
        self._clock = clock
        self._queues: WeakValueDictionary[Stream, asyncio.Lock] = WeakValueDictionary()
        self._refused: Counter[UUID] = Counter()
        self._known: dict[UUID, Current] = {}

    async def authenticate(
        self, name: str | Secret[str], password: Secret[str], **acting: Unpack[Acting]
    ) -> Authenticated:
        """Who this is, if the password is right.

        Args:
            name: a username; with an @ in it, an email address.

        Raises:
            LoginRefused: for whatever reason; until when a user is locked out, ``UserRow.locked_until`` tells those who
                may see it.
            LogUnavailable, OutcomeUnknown, LogClosed, UpgradeRequired, KeyUnavailable, SealingError: nothing was found
                out, and the attempt may count; after OutcomeUnknown a success too.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        found = await self._attempted(name, password, acting)
        if found is None:
            gone = loop.time() - started
            await asyncio.sleep(self._quantum_seconds - gone % self._quantum_seconds)
            raise LoginRefused
        return found

    async def _attempted(self, name: str | Secret[str], password: Secret[str], acting: Acting) -> Authenticated | None:
        reservation = await self._reservation(name)
        if reservation is None:
            await self._passwords.fits(password, None)
            return None
        async with self._queue(reservation):
            user_id = await holder_of(self._log, reservation)
            checked = await self._checked(user_id, password, acting)
            return None if checked is None else await self._succeeded(checked, password, acting)

    async def _reservation(self, name: str | Secret[str]) -> Stream | None:
        """What the name reserves; None: it can be nobody's."""
        given = name if isinstance(name, Secret) else Secret(name)
        try:
            if "@" not in given.reveal():
                return username_reservation(Name(given.reveal()).key)
            return email_reservation(Email(given).hash_in(await self._vault.blind_index(EMAIL_PURPOSE)))
        except (InvalidUsername, InvalidEmail):
            return None

    def _queue(self, reservation: Stream) -> asyncio.Lock:
        """Kept as long as somebody holds it or waits."""
        found = self._queues.get(reservation)
        if found is None:
            found = self._queues[reservation] = asyncio.Lock()
        return found

    async def _checked(self, user_id: UUID | None, password: Secret[str], acting: Acting) -> _Checked | None:
        """Records the attempt, then looks at the password."""
        sealed = None if user_id is None else await self._reserved(user_id, acting)
        plain = None if user_id is None or sealed is None else await self._plain(user_id, sealed)
        right = await self._passwords.fits(password, plain)
        if user_id is None or sealed is None or plain is None or not right:
            return None
        return _Checked(user_id, sealed, plain)

    async def _reserved(self, user_id: UUID, acting: Acting) -> bytes | None:
        """The sealed hash to check by, once the attempt is recorded; None: it is refused."""
        for _ in range(DECISIONS):
            row, version = await self._user(user_id)
            if row is None:
                return None
            now = self._clock()
            event = deciding.login_reserved(row, self._policy, now, self._refused[user_id])
            if event is None:
                break
            if await self._told(user_id, event, now, version, acting):
                return row.password_hash
        self._refused[user_id] += 1
        return None

    async def _told(self, user_id: UUID, event: LoginReserved, now: int, version: int, acting: Acting) -> bool:
        """Whether the attempt was recorded. Meanwhile no other task may tell of the same refusals."""
        self._refused[user_id] -= event.refused
        stored = False
        try:
            stored = await self._stored(user_id, [event], now, version, acting) is not None
        finally:
            if not stored:
                self._refused[user_id] += event.refused
        return stored

    async def _user(self, user_id: UUID) -> Current:
        found = await current_user(self._log, user_id, self._known.pop(user_id, None))
        self._known[user_id] = found
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]  # whom nobody asked for longest
        return found

    async def _plain(self, user_id: UUID, sealed: bytes) -> Secret[str] | None:
        try:
            return await self._vault.reveal(user_stream(user_id), "password_hash", sealed)
        except Erased:
            return None

    async def _succeeded(self, checked: _Checked, password: Secret[str], acting: Acting) -> Authenticated | None:
        """Records the success, unless the user is not what it was when the password was checked."""
        user_id = checked.user_id
        rehashed = await self._rehashed(checked, password)
        for _ in range(DECISIONS):
            row, version = await self._user(user_id)
            events = [] if row is None else deciding.login_succeeded(row, checked.sealed, rehashed)
            if row is None or not events:
                return None
            receipt = await self._stored(user_id, events, self._clock(), version, acting)
            if receipt is not None:
                return Authenticated(user_id, row.username, row.role, receipt)
        return None

    async def _rehashed(self, checked: _Checked, password: Secret[str]) -> bytes | None:
        """The same password, sealed anew, if its hash has parameters of the past."""
        if not self._passwords.outdated(checked.plain):
            return None
        plain = await self._passwords.hashed(password)
        return await self._vault.seal(user_stream(checked.user_id), "password_hash", plain)

    async def _stored(
        self, user_id: UUID, events: Sequence[Event], now: int, version: int, acting: Acting
    ) -> Receipt | None:
        """The receipt; None: the user changed meanwhile."""
        entries = [Entry(event, received_at=now) for event in events]
        try:
            return await self._log.append(user_stream(user_id), entries, expected=version, **acting)
        except VersionConflict:
            return None
