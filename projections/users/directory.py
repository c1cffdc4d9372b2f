"""The directory of users: whoever manages them says here what becomes of them.

Every call reads the user's stream from the log, never the table, which may lag; decides; and appends with the exact
versions that it read, together with what it reserves: a username and an email address, without regard to case and
Unicode form, belong to one user at a time, in all processes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Unpack
from uuid import UUID

from byjy_events.event import Event
from byjy_events.identifiers import new_event_id
from byjy_events.log import EventLog
from byjy_events.recorded import Receipt, Write
from byjy_events.sealing import Vault
from byjy_events.secret import Secret
from byjy_events.stream import NO_STREAM, user_stream
from byjy_events.vocabulary.users import Role, UserEmailChanged, UserPasswordChanged, UserRegistered
from projections.recording import Acting, recorded
from projections.reservations import given_up, holder_of, taken
from projections.users import deciding
from projections.users.current import current_user, existing_user
from projections.users.errors import UserRefused
from projections.users.passwords import Passwords, prepared
from projections.users.spelling import (
    EMAIL,
    EMAIL_PURPOSE,
    USERNAME,
    Email,
    Name,
    email_reservation,
    username_reservation,
)
from projections.users.table import UserRow


class Registered(NamedTuple):
    """A user that came into being.

    Attributes:
        receipt: wait for its ``position``, and the user is in the table.
    """

    user_id: UUID
    receipt: Receipt


class UserDirectory:
    """Registers users, changes what is known of them, and erases it. Whoever calls has to be allowed to.

    When a call returns, what it wanted is durable. Calls return None where it was so already. Each raises

    - UnknownUser: nobody has this id. UserRefused: the user is not in a state for that.
    - InvalidUsername, InvalidEmail, InvalidPassword: see there. AlreadyTaken: somebody else has the name or the email.
    - VersionConflict: the user changed while it was decided, time and again.
    - KeyUnavailable and the other errors of a :class:`~byjy_events.sealing.Vault`.
    - LogUnavailable, LogClosed: as :meth:`byjy_events.log.EventLog.append` does.

    and then nothing was stored; or OutcomeUnknown, and then the call can be repeated.
    """

    def __init__(self, log: EventLog, vault: Vault, passwords: Passwords | None = None) -> None:
        """
        Args:
            passwords: how passwords are hashed; unless given, with the recommended parameters.
        """
        self._log = log
        self._vault = vault
        self._passwords = passwords or Passwords()

    async def register(
        self,
        username: str,
        email: Secret[str],
        password: Secret[str],
        role: Role,
        *,
        user_id: UUID | None = None,
        **acting: Unpack[Acting],
    ) -> Registered:
        """A new user, active.

        Args:
            user_id: a fresh one if it is not given. Repeating a call with the id of its first time registers nobody
                twice: UserRefused.
        """
        name, address = Name(username), Email(email)
        prepared(password)
        new = new_event_id() if user_id is None else user_id
        email_hash = address.hash_in(await self._vault.blind_index(EMAIL_PURPOSE))
        # Before keys are made for somebody who is refused.
        await self._reserved(new, name, email_hash)
        await self._refuse_registered(new)
        secrets = {"email": address.shown, "password_hash": await self._passwords.hashed(password)}
        sealed = await self._vault.seal_all(user_stream(new), secrets)
        event = UserRegistered(
            username=name.shown, username_key=name.key, email_hash=email_hash, role=Role(role), **sealed
        )

        async def decide() -> list[Write]:
            await self._refuse_registered(new)
            write = Write(user_stream(new), [event], NO_STREAM)
            return [write, *await self._reserved(new, name, email_hash)]

        receipt = await recorded(self._log, decide, **acting)
        assert receipt is not None  # there is always something to write
        return Registered(new, receipt)

    async def rename(self, user_id: UUID, username: str, **acting: Unpack[Acting]) -> Receipt | None:
        """Another username; the old one is free from then on."""
        name = Name(username)

        async def besides(row: UserRow) -> list[Write]:
            if row.username_key is None or row.username_key == name.key:
                return []
            return [
                *await taken(self._log, username_reservation(name.key), USERNAME, user_id),
                *await given_up(self._log, username_reservation(row.username_key), USERNAME, user_id),
            ]

        return await self._changed(user_id, lambda row: deciding.renamed(row, name), besides, **acting)

    async def change_email(self, user_id: UUID, email: Secret[str], **acting: Unpack[Acting]) -> Receipt | None:
        """Another email address; the old one is free from then on, and stays in the log, sealed."""
        address = Email(email)
        await existing_user(self._log, user_id)
        email_hash = address.hash_in(await self._vault.blind_index(EMAIL_PURPOSE))
        sealed = await self._vault.seal(user_stream(user_id), "email", address.shown)
        event = UserEmailChanged(email=sealed, email_hash=email_hash)

        async def besides(row: UserRow) -> list[Write]:
            if row.email_hash is None or row.email_hash == email_hash:
                return []
            return [
                *await taken(self._log, email_reservation(email_hash), EMAIL, user_id),
                *await given_up(self._log, email_reservation(row.email_hash), EMAIL, user_id),
            ]

        return await self._changed(user_id, lambda row: deciding.email_changed(row, event), besides, **acting)

    async def change_password(self, user_id: UUID, password: Secret[str], **acting: Unpack[Acting]) -> Receipt | None:
        """Another password. A lock-out stays as it is: :meth:`unlock` ends it."""
        prepared(password)
        await existing_user(self._log, user_id)
        found = await self._passwords.hashed(password)
        event = UserPasswordChanged(password_hash=await self._vault.seal(user_stream(user_id), "password_hash", found))
        return await self._changed(user_id, lambda row: deciding.password_changed(row, event), **acting)

    async def change_role(self, user_id: UUID, role: Role, **acting: Unpack[Acting]) -> Receipt | None:
        """Another role. Whether somebody is left who may manage users is not looked at."""
        return await self._changed(user_id, lambda row: deciding.role_changed(row, Role(role)), **acting)

    async def deactivate(self, user_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """No login succeeds any more; name and email stay reserved."""
        return await self._changed(user_id, lambda row: deciding.deactivated(row, reason), **acting)

    async def reactivate(self, user_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Logins succeed again."""
        return await self._changed(user_id, lambda row: deciding.reactivated(row, reason), **acting)

    async def unlock(self, user_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """End a lock-out, and forget the failures that led to it."""
        return await self._changed(user_id, lambda row: deciding.unlocked(row, reason), **acting)

    async def erase(self, user_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Forget the email address and the password hash for good, in every event, table, replay and copy; see
        :meth:`byjy_events.sealing.Vault.erase`. The user is inactive for good, name and email are free.

        Not to be undone. What failed half-way is completed by calling it again.
        """
        await existing_user(self._log, user_id)
        await self._vault.erase(user_stream(user_id))  # first: what the log says has to be true

        async def besides(row: UserRow) -> list[Write]:
            if row.username_key is None or row.email_hash is None:
                return []
            return [
                *await given_up(self._log, username_reservation(row.username_key), USERNAME, user_id),
                *await given_up(self._log, email_reservation(row.email_hash), EMAIL, user_id),
            ]

        receipt = await self._changed(user_id, lambda row: deciding.erased(row, reason), besides, **acting)
        await self._vault.erase(user_stream(user_id))  # what was sealed in between; from now on nothing is
        return receipt

    # --- looking --------------------------------------------------------------------------------------

    async def find(self, username: str) -> UUID | None:
        """Who is called so now; None: nobody.

        Raises:
            InvalidUsername: nobody can be called so.
        """
        return await holder_of(self._log, username_reservation(Name(username).key))

    async def find_by_email(self, email: Secret[str]) -> UUID | None:
        """Who has this email address now; None: nobody.

        Raises:
            InvalidEmail: it is none.
        """
        email_hash = Email(email).hash_in(await self._vault.blind_index(EMAIL_PURPOSE))
        return await holder_of(self._log, email_reservation(email_hash))

    async def user(self, user_id: UUID) -> UserRow:
        """A user as the log says now, however far the table is.

        Raises:
            UnknownUser: nobody has this id.
        """
        return (await existing_user(self._log, user_id))[0]

    async def email_of(self, user_id: UUID) -> Secret[str]:
        """A user's email address, as it was given.

        Raises:
            UnknownUser: nobody has this id.
            UserRefused: the user was erased.
            SealingError: what is stored is not what was sealed for this user, or its key is not there.
        """
        row = await self.user(user_id)
        if row.email is None:
            raise UserRefused(user_id, "email", "it was erased")
        return await self._vault.reveal(user_stream(user_id), "email", row.email)

    async def _refuse_registered(self, user_id: UUID) -> None:
        deciding.refuse_registered((await current_user(self._log, user_id)).row)

    async def _reserved(self, user_id: UUID, name: Name, email_hash: bytes) -> list[Write]:
        return [
            *await taken(self._log, username_reservation(name.key), USERNAME, user_id),
            *await taken(self._log, email_reservation(email_hash), EMAIL, user_id),
        ]

    async def _changed(
        self,
        user_id: UUID,
        decide: Callable[[UserRow], Event | None],
        besides: Callable[[UserRow], Awaitable[Sequence[Write]]] | None = None,
        **acting: Unpack[Acting],
    ) -> Receipt | None:
        async def decided() -> list[Write]:
            row, version = await existing_user(self._log, user_id)
            event = decide(row)
            if event is None:
                return []
            others = [] if besides is None else await besides(row)
            return [Write(user_stream(user_id), [event], version), *others]

        return await recorded(self._log, decided, **acting)
