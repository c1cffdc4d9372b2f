"""Where secrets of exchanges are kept, given out, and forgotten.

Every call reads the streams concerned from the log, never a table, which may lag; decides; and appends with the exact
version that it read. What happens to the key in between makes it decide anew.

The order of things. To add: the data keys are durable before the event, so no event carries what nobody can open. To
reveal: the secrets are opened, then the event is durable, and only then are they returned; whoever has them is in the
log. To replace and to erase: the event is durable first, and then the data keys go. A process that dies in between
leaves keys that nothing should open any more, and calling again forgets them.

Within a process calls for one key take turns, so that a hundred tasks that start at once do not make each other decide
anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple, Unpack
from uuid import UUID
from weakref import WeakValueDictionary

from byjy_events.event import Event
from byjy_events.identifiers import new_event_id
from byjy_events.log import EventLog
from byjy_events.recorded import Receipt, Recorded, Write
from byjy_events.sealing import Vault
from byjy_events.secret import Secret
from byjy_events.stream import Stream, api_key_stream, reservation_stream
from byjy_events.vocabulary.api_keys import (
    ApiKeyAdded,
    ApiKeyChanged,
    ApiKeyErased,
    ApiKeyReactivated,
    ApiKeyReplaced,
    ApiKeyRevealed,
    ApiKeyRevoked,
    ApiKeyUsed,
    Permission,
    SecretField,
)
from projections.api_keys.checking import (
    Given,
    checked_expiry,
    checked_label,
    checked_permissions,
    checked_reason,
    checked_secrets,
    exchange_name,
    secrets_of,
)
from projections.api_keys.credential import Credential
from projections.api_keys.deciding import decide, folded_api_key, superseded
from projections.api_keys.errors import ApiKeyRefused, CredentialTaken, OwnerRefused
from projections.api_keys.queries import ApiKeyQueries
from projections.api_keys.table import ApiKeyRow
from projections.errors import AlreadyTaken
from projections.recording import Acting, recorded
from projections.reservations import given_up, taken
from projections.statements import PAGE_LIMIT
from projections.users.current import current_user

KIND = "api_key"
"""What keeps fingerprints apart from other reservations and from other keyed hashes."""


class _Known(NamedTuple):
    """What the log says of a key, and at which version of its stream."""

    row: ApiKeyRow | None
    version: int


class Credentials:
    """The API keys of one database: any number of tasks may use it, and any number of processes their own.

    Every call that stores something takes ``actor``, ``correlation_id`` and ``causation_id`` besides, as
    :meth:`byjy_events.log.EventLog.append` does, and raises, besides what it says itself:

    - :class:`ApiKeyRefused`: the key is not in a state for that.
    - :class:`OwnerRefused`: the user is not known, or not active.
    - :class:`InvalidCredential`: what was given cannot be stored; it names the field.
    - :class:`VersionConflict`, :class:`LogUnavailable`, :class:`LogClosed`, :class:`OutcomeUnknown`: as an append does.
    - :class:`KeyStoreUnavailable`, :class:`KeyUnavailable` and others of :mod:`byjy_events.sealing`: as the vault does.

    ::

        credentials = Credentials(log, Vault(log, KeyFile("byjy.key")))
        credential = await credentials.reveal(api_key_id, "start of strategy mm-1")
        session = connect(credential.key.reveal(), credential.secret.reveal())
    """

    def __init__(self, log: EventLog, vault: Vault, *, used_every: timedelta = timedelta(hours=1)) -> None:
        """
        Args:
            used_every: how often :meth:`used` stores that a key was used, at most.
        """
        self._log = log
        self._vault = vault
        self._used_every_nanoseconds = used_every // timedelta(microseconds=1) * 1_000
        self._used_due: dict[UUID, int] = {}
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def add(
        self,
        user_id: UUID,
        exchange: str,
        *,
        label: str,
        key: Given,
        secret: Given,
        passphrase: Given | None = None,
        permissions: Iterable[Permission | str] = (),
        expires_at: int | None = None,
        api_key_id: UUID | None = None,
        **acting: Unpack[Acting],
    ) -> UUID:
        """Store a key of a user for an exchange, active, and return its id. A user may have several at one exchange.

        Args:
            exchange: its case, Unicode form and surrounding blanks do not count, and are not kept.
            expires_at: nanoseconds UTC; None: never.
            api_key_id: to make the call repeatable after an :class:`OutcomeUnknown`; else a new one.

        Raises:
            CredentialTaken: the user has the same key for this exchange.
        """
        given = secrets_of(key, secret, passphrase)
        del key, secret, passphrase  # plain text, perhaps, and tracebacks may show this frame
        api_key_id = new_event_id() if api_key_id is None else api_key_id
        name, label, permitted = exchange_name(exchange), checked_label(label), checked_permissions(permissions)
        secrets = checked_secrets(given)
        stream, sealed = api_key_stream(api_key_id), dict[str, bytes]()

        async def decided() -> list[Write]:
            now = time.time_ns()
            until = checked_expiry(expires_at, now)
            decide(api_key_id, (await self._known(api_key_id)).row, ApiKeyAdded, now)
            await self._refuse_inactive(user_id)
            fingerprint = await self._fingerprint(user_id, name, secrets)
            reserving = await self._taken(user_id, name, fingerprint, api_key_id)
            sealed.update(sealed or await self._vault.seal_all(stream, secrets))
            event = ApiKeyAdded(
                user_id=user_id, exchange=name, label=label, fingerprint=fingerprint, **sealed,
                permissions=permitted, expires_at=until,
            )  # fmt: skip
            return [Write(stream, [event], 0), *reserving]

        async with self._turn(api_key_id):
            await recorded(self._log, decided, **acting)
        return api_key_id

    async def api_key(self, api_key_id: UUID) -> ApiKeyRow | None:
        """A key as the log says it is now, which the table may not know yet; None: there is none."""
        return (await self._known(api_key_id)).row

    async def change(
        self,
        api_key_id: UUID,
        *,
        label: str,
        permissions: Iterable[Permission | str],
        expires_at: int | None,
        **acting: Unpack[Acting],
    ) -> Receipt | None:
        """Change what is known about a key besides its secrets: all of it. None: it was so already.

        An expiry that is past is refused, unless it is the one that the key has.
        """
        label, permitted = checked_label(label), checked_permissions(permissions)

        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            if (label, permitted, expires_at) == (row.label, row.permitted, row.expires_at):
                return []
            until = expires_at if expires_at == row.expires_at else checked_expiry(expires_at, now)
            return [_write(known, row, ApiKeyChanged(label=label, permissions=permitted, expires_at=until))]

        return await self._record(api_key_id, ApiKeyChanged, decided, acting)

    async def replace(
        self,
        api_key_id: UUID,
        *,
        key: Given,
        secret: Given,
        passphrase: Given | None = None,
        expires_at: int | None = None,
        **acting: Unpack[Acting],
    ) -> Receipt:
        """Store the key that the exchange gave out in place of the old one, whose secrets are erased for good.

        Label and permissions stay; so does a revocation. Calling it again with the same key is safe.

        Args:
            expires_at: of the new key; None: never.

        Raises:
            CredentialTaken: another API key of the user has it.
        """
        given = secrets_of(key, secret, passphrase)
        del key, secret, passphrase
        secrets = checked_secrets(given)
        stream, sealed = api_key_stream(api_key_id), dict[str, bytes]()

        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            until = checked_expiry(expires_at, now)
            await self._refuse_inactive(row.user_id)
            fingerprint = await self._fingerprint(row.user_id, row.exchange, secrets)
            reserving: list[Write] = []
            if fingerprint != row.fingerprint:
                reserving += await self._taken(row.user_id, row.exchange, fingerprint, api_key_id)
                reserving += await self._given_up(row)
            sealed.update(sealed or await self._vault.seal_all(stream, secrets))
            event = ApiKeyReplaced(fingerprint=fingerprint, **sealed, expires_at=until)
            return [_write(known, row, event), *reserving]

        receipt = await self._record(api_key_id, ApiKeyReplaced, decided, acting)
        assert receipt is not None
        await self._vault.erase_values(stream, superseded(await self._read(stream)))
        return receipt

    async def revoke(self, api_key_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt:
        """Let nobody have the secrets any more, until the key is reactivated. Whoever has them already keeps them."""
        return await self._simply(api_key_id, ApiKeyRevoked(reason=checked_reason(reason)), acting)

    async def reactivate(self, api_key_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt:
        """Let a revoked key be used again."""
        return await self._simply(api_key_id, ApiKeyReactivated(reason=checked_reason(reason)), acting, owned=True)

    async def reveal(self, api_key_id: UUID, reason: str, **acting: Unpack[Acting]) -> Credential:
        """The secrets of a key that is active and has not expired, once it is durable that the actor got them.

        Args:
            reason: what they are wanted for; it is stored.

        Raises:
            SealingError: they do not open. Nothing is stored then.
        """
        about, found = checked_reason(reason, required=True), list[Credential]()

        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            await self._refuse_inactive(row.user_id)
            found[:] = [await self._opened(row)]
            fields = tuple(field for field in SecretField if getattr(found[0], field) is not None)
            return [_write(known, row, ApiKeyRevealed(fields=fields, reason=about))]

        await self._record(api_key_id, ApiKeyRevealed, decided, acting)
        return found[0]

    async def for_trading(
        self, user_id: UUID, exchange: str, reason: str, **acting: Unpack[Acting]
    ) -> list[Credential]:
        """Reveal all keys of a user for an exchange that may trade now, the first one added first. For start-up.

        Which keys there are the table ``api_keys`` says: let its projector catch up before. Whether each may be used
        the log says, as for :meth:`reveal`.
        """
        found: list[Credential] = []
        for row in await self._of_user(user_id, exchange):
            if Permission.TRADE in row.permitted:
                try:
                    found.append(await self.reveal(row.id, reason, **acting))
                except ApiKeyRefused:
                    continue
        return found

    async def used(self, api_key_id: UUID, **acting: Unpack[Acting]) -> None:
        """Note that a key was used now. Cheap enough for every request: an event is stored once in a while only.

        So ``last_used_at`` may be so much too old. A key that was revoked meanwhile is noted all the same.
        """
        if time.monotonic_ns() < self._used_due.get(api_key_id, 0):
            return

        every = rest = self._used_every_nanoseconds

        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            nonlocal rest
            since = every if row.last_used_at is None else max(0, now - row.last_used_at)
            rest = every if since >= every else every - since
            return [_write(known, row, ApiKeyUsed())] if since >= every else []

        await self._record(api_key_id, ApiKeyUsed, decided, acting)
        self._used_due[api_key_id] = time.monotonic_ns() + rest

    async def erase(self, api_key_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Forget the secrets for good: in every event, table, replay and copy. The log is untouched.

        The key may be added again, as another one. Calling it again is safe, and does what was left undone if the
        process died; None: the event was there.
        """
        about, stream = checked_reason(reason), api_key_stream(api_key_id)

        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            if row.erased_at is not None:
                return []
            return [_write(known, row, ApiKeyErased(reason=about)), *await self._given_up(row)]

        receipt = await self._record(api_key_id, ApiKeyErased, decided, acting)
        await self._vault.erase(stream)
        return receipt

    # --- deciding -------------------------------------------------------------------------------------

    async def _simply(
        self, api_key_id: UUID, event: ApiKeyRevoked | ApiKeyReactivated, acting: Acting, *, owned: bool = False
    ) -> Receipt:
        async def decided(known: _Known, row: ApiKeyRow, now: int) -> list[Write]:
            if owned:
                await self._refuse_inactive(row.user_id)
            return [_write(known, row, event)]

        receipt = await self._record(api_key_id, type(event), decided, acting)
        assert receipt is not None
        return receipt

    async def _record(self, api_key_id: UUID, intent: type[Event], decided: _Decided, acting: Acting) -> Receipt | None:
        async def checked() -> list[Write]:
            known, now = await self._known(api_key_id), time.time_ns()
            decide(api_key_id, known.row, intent, now)
            assert known.row is not None  # or it would have been refused
            return await decided(known, known.row, now)

        async with self._turn(api_key_id):
            return await recorded(self._log, checked, **acting)

    def _turn(self, api_key_id: UUID) -> asyncio.Lock:
        return self._turns.setdefault(api_key_id, asyncio.Lock())

    # --- what the log and the vault say ---------------------------------------------------------------

    async def _known(self, api_key_id: UUID) -> _Known:
        stream, version = api_key_stream(api_key_id), 0
        async for last in self._log.read(stream=stream, backward=True, limit=1):
            version = last.stream_version  # first: what comes in between then makes the append a conflict
        return _Known(folded_api_key(api_key_id, await self._read(stream)), version)

    async def _read(self, stream: Stream) -> list[Recorded]:
        """All that changes a key. Revealing does not, and happens more often than anything else."""
        return [one async for one in self._log.read(stream=stream, without_types=[ApiKeyRevealed])]

    async def _refuse_inactive(self, user_id: UUID) -> None:
        user = (await current_user(self._log, user_id)).row
        if user is None:
            raise OwnerRefused(user_id, "there is no such user")
        if not user.is_active:
            raise OwnerRefused(user_id, "not active")

    async def _fingerprint(self, user_id: UUID, exchange: str, secrets: Mapping[str, Secret[str]]) -> bytes:
        index = await self._vault.blind_index(KIND)
        return index.of(str(user_id), exchange, secrets[SecretField.KEY])

    async def _taken(self, user_id: UUID, exchange: str, fingerprint: bytes, holder: UUID) -> list[Write]:
        try:
            return await taken(self._log, _reservation(fingerprint), KIND, holder)
        except AlreadyTaken as error:
            raise CredentialTaken(user_id, exchange, error.holder) from None

    async def _given_up(self, row: ApiKeyRow) -> list[Write]:
        assert row.fingerprint is not None  # it is not erased
        return await given_up(self._log, _reservation(row.fingerprint), KIND, row.id)

    async def _opened(self, row: ApiKeyRow) -> Credential:
        secrets: dict[str, Secret[str] | None] = {}
        for field in SecretField:
            value: bytes | None = getattr(row, f"encrypted_{field}")
            place = api_key_stream(row.id)
            secrets[field] = None if value is None else await self._vault.reveal(place, field, value)
        return Credential(
            api_key_id=row.id,
            user_id=row.user_id,
            exchange=row.exchange,
            label=row.label,
            permissions=row.permitted,
            expires_at=row.expires_at,
            **secrets,  # type: ignore[arg-type] # a key and a secret are always there
        )

    async def _of_user(self, user_id: UUID, exchange: str) -> list[ApiKeyRow]:
        queries, rows = ApiKeyQueries(self._log.engine), list[ApiKeyRow]()
        while page := await queries.page(
            user_id=user_id, exchange=exchange, after=rows[-1] if rows else None, limit=PAGE_LIMIT
        ):
            rows += page
        return rows


_Decided = Callable[[_Known, ApiKeyRow, int], Awaitable[list[Write]]]


def _write(known: _Known, row: ApiKeyRow, event: Event) -> Write:
    return Write(api_key_stream(row.id), [event], known.version)


def _reservation(fingerprint: bytes) -> Stream:
    return reservation_stream(KIND, fingerprint.hex())
