"""Canaries planted through the interfaces of the library, with all that may go wrong there."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import structlog

from byjy_events import EventLog, Role, new_event_id, user_stream
from byjy_events.sealing import Vault
from byjy_events.secret import Secret
from byjy_events.stream import Stream
from projections import Configuration, Json
from projections.api_keys.credentials import Credentials
from projections.users.directory import UserDirectory
from projections.users.login import Logins
from projections.users.passwords import Passwords
from tests.canaries import SHAPES, TEXTS, Canaries, Canary
from tests.canary_places import Places
from tests.sealing import local_key
from tests.user_stories import CHEAP

COPIES = 5
"""Secrets of each shape that a vault seals at once."""


class Sealed(NamedTuple):
    """A sealed value, as the vault reveals it."""

    subject: Stream
    field: str
    value: bytes


class Plants:
    """Plants canaries in one open log."""

    def __init__(self, log: EventLog, vault: Vault, canaries: Canaries, decoys: Canaries, places: Places) -> None:
        self.log, self.vault, self.new, self.decoys, self.places = log, vault, canaries, decoys, places
        self.directory = UserDirectory(log, vault, Passwords(CHEAP))
        self.logins = Logins(log, vault, Passwords(CHEAP), quantum_seconds=0.001)
        self.credentials = Credentials(log, vault)
        self.stranger = Vault(log, local_key(9))

    def __repr__(self) -> str:
        return "<plants>"

    # --- users ----------------------------------------------------------------------------------------

    async def user(self, number: int) -> UUID:
        """A user with all that may be given for one, right and wrong."""
        refused, seen = self.places.refused, self.places.see_object
        name, email, password = f"user {number}", self.new.email(), self.new.secret()
        registered = seen("registered", await self.directory.register(name, email, password, Role.TRADER))
        user = registered.user_id
        seen("a login by name", await self.logins.authenticate(name, password))
        seen("a login by email", await self.logins.authenticate(email, password))
        for wrong in (self.new.secret(), self.new.secret("pem"), Secret(self.new.new().blob.reveal())):
            await refused("a wrong password", self.logins.authenticate(name, wrong))  # type: ignore[arg-type]
        await refused("an unknown name", self.logins.authenticate(self.new.secret(), self.new.secret()))
        register = self.directory.register
        await refused("a name that is taken", register(name, self.new.email(), self.new.secret(), Role.TRADER))
        await refused("an email that is taken", register(f"{name}b", email, self.new.secret(), Role.TRADER))
        await refused("no email", register(f"{name}b", self.new.secret(), self.new.secret(), Role.TRADER))
        await refused("no password", register(f"{name}b", self.new.email(), self.new.secret("pem"), Role.TRADER))
        await refused("no role", register(f"{name}b", self.new.email(), self.new.secret(), "KING"))  # type: ignore[arg-type]
        lone = Secret(f"{self.new.secret().reveal()}\ud800")
        await refused("a lone surrogate", self.directory.change_password(user, lone))
        await refused("a surrogate in an email", self.directory.change_email(user, lone))
        await refused("nobody", self.directory.change_password(new_event_id(), self.new.secret()))
        strange = UserDirectory(self.log, self.stranger, Passwords(CHEAP))
        await refused("a wrong key", strange.change_password(user, self.new.secret()))
        await refused("a wrong key for an email", strange.change_email(user, self.new.email()))
        second, changed = self.new.email(), self.new.secret()
        seen("a changed email", await self.directory.change_email(user, second))
        seen("a changed password", await self.directory.change_password(user, changed))
        assert await self.directory.find_by_email(self.new.email()) is None
        assert await self.directory.find_by_email(second) == user
        assert seen("an email", await self.directory.email_of(user)) == second
        seen("a user", await self.directory.user(user))
        return user

    # --- API keys -------------------------------------------------------------------------------------

    def given(self) -> dict[str, Any]:
        """What an exchange gives out."""
        fields = ("key", "secret", "passphrase")
        return {field: self.new.secret(*TEXTS[: 5 if field == "key" else 6]) for field in fields}

    async def api_key(self, user: UUID, number: int) -> UUID:
        """An API key with all that may be given for one, right and wrong."""
        refused, seen, add = self.places.refused, self.places.see_object, self.credentials.add
        first, second = self.given(), self.given()
        added = await add(user, "binance", label=f"key {number}", **first, permissions=["TRADE"])
        assert seen("a credential", await self.credentials.reveal(added, "why")).secret == first["secret"]
        await refused("a key that is there", add(user, "binance", label="x", **{**self.given(), "key": first["key"]}))
        await refused("nobody's key", add(new_event_id(), "binance", label="x", **self.given()))
        await refused("no exchange", add(user, "", label="x", **self.given()))
        for field in ("key", "secret", "passphrase"):
            for wrong in self._unfit():
                await refused(f"a wrong {field}", add(user, "x", label="x", **{**first, field: wrong}))
        plain = self.new.new()
        await refused("bytes", add(user, "x", label="x", **{**first, "key": plain.blob.reveal()}), plain=True)
        await refused("a list", add(user, "x", label="x", **{**first, "key": [plain.secret.reveal()]}), plain=True)
        await refused("plain", add(new_event_id(), "x", label="x", key=plain.secret.reveal(), secret="x"), plain=True)
        strange = Credentials(self.log, self.stranger)
        await refused("a wrong key adds", strange.add(user, "x", label="x", **self.given()))
        await refused("a wrong key reveals", strange.reveal(added, "why"))
        await refused("a wrong key replaces", strange.replace(added, **self.given()))
        await refused("no key is replaced", self.credentials.replace(new_event_id(), **self.given()))
        seen("a receipt", await self.credentials.replace(added, **second))
        seen("a replaced credential", await self.credentials.reveal(added, "why"))
        seen("an API key", await self.credentials.api_key(added))
        return added

    def _unfit(self) -> Iterator[Any]:
        """Texts that are no secret of an exchange."""
        yield Secret(f"{self.new.secret().reveal()}\0")
        yield Secret(f"{self.new.secret().reveal()}\udfff")
        yield Secret(self.new.secret("hex").reveal() * 1_000)
        yield Secret(self.new.new("bytes").blob.reveal())

    # --- configuration --------------------------------------------------------------------------------

    async def setting(self, number: int) -> str:
        """A secret setting with all that may be given for one, right and wrong."""
        refused, seen, key = self.places.refused, self.places.see_object, f"venue.v{number}"
        types = {key: str, f"{key}.typed": Limits, f"{key}.number": Annotated[int, msgspec.Meta(ge=1)]}
        config = Configuration(self.log, vault=self.vault, types=types)
        first = self.new.secret(*TEXTS)
        seen("a setting", await config.set(key, first, secret=True, description="Of a venue."))
        await config.set(key, Json(Secret(msgspec.json.encode(self.new.secret(*TEXTS).reveal()).decode())))
        seen("a setting rolled back", await config.rollback(key, 1))
        assert seen("a revealed setting", await config.reveal(key, "why")) == first
        await config.set(f"{key}.typed", {"level": 1, "token": self.new.secret().reveal()}, secret=True)
        await config.set(f"{key}.plain", self.decoys.secret("hex").reveal(), description="A decoy.")
        seen("a history", await config.history(key))
        await refused("a secret is not got", config.get(key))
        await refused("a secret is not compared", config.diff(key, 1, 2))
        await refused("plain to secret", config.set(f"{key}.plain", self.new.secret()))
        await refused("another version", config.set(key, self.new.secret(), expected_version=1))
        for name, wrong in self._misfits():
            for suffix in ("typed", "number"):
                await refused(f"{name} for {suffix}", config.set(f"{key}.{suffix}", wrong, secret=True))
        for wrong in self._no_json():
            await refused("no JSON", config.set(key, wrong, secret=True))
        await refused("no vault", Configuration(self.log).set(key, self.new.secret()))
        await refused("no vault to roll back", Configuration(self.log).rollback(key, 1))
        strange = Configuration(self.log, vault=self.stranger)
        await refused("a wrong key sets", strange.set(key, self.new.secret()))
        await refused("a wrong key reveals", strange.reveal(key, "why"))
        return key

    def _misfits(self) -> Iterator[tuple[str, Any]]:
        """Values that are given as they are, and are of another type."""
        yield "a secret", self.new.secret()
        yield "a field", {"level": self.new.secret().reveal()}
        yield "a plain text", self.new.secret(*TEXTS).reveal()
        yield "an unknown field", {"level": 1, self.new.secret().reveal(): 1}
        yield "a list", [self.new.secret().reveal()]
        yield "no JSON", {"level": {1, self.new.secret().reveal()}}
        yield "a surrogate", {"level": f"{self.new.secret().reveal()}\ud800"}

    def _no_json(self) -> Iterator[Any]:
        """Texts that are no JSON that can be stored."""
        for form in ('{{"{0}": 1, "{0}": 2}}', '{{"a": "{0}" "b"}}', '["{0}", NaN]', '"{0}\\u0000"', "{0}"):
            yield Json(Secret(form.format(self.new.secret("base64").reveal())))
        yield Secret(f"{self.new.secret().reveal()}\0")

    # --- the vault ------------------------------------------------------------------------------------

    async def sealed(self, subject: UUID) -> list[tuple[Sealed, Canary]]:
        """What the vault is given by itself, text and bytes; right and wrong places."""
        refused, stream = self.places.refused, user_stream(subject)
        made = {f"secret_{shape}_{number}": self.new.new(shape) for shape in SHAPES for number in range(COPIES)}
        values = await self.vault.seal_all(stream, {field: _sealable(one) for field, one in made.items()})
        for field, value in values.items():
            assert await self.vault.reveal(stream, field, value) == _sealable(made[field])
        for field, value in list(values.items())[:: COPIES * 2]:
            self.places.see_object("a revealed secret", await self.vault.reveal(stream, field, value))
            await refused("another field", self.vault.reveal(stream, "other", value))
            await refused("another row", self.vault.reveal(user_stream(new_event_id()), field, value))
            await refused("altered", self.vault.reveal(stream, field, value[:-1] + bytes([value[-1] ^ 1])))
            await refused("another key", self.stranger.reveal(stream, field, value))
        await refused("a name that is none", self.vault.seal(stream, "", self.new.secret()))
        await refused("a lone surrogate", self.vault.seal(stream, "x", Secret(f"{self.new.secret().reveal()}\ud800")))
        await refused("a key that is not in use", self.stranger.seal(stream, "x", self.new.secret()))
        await refused("too long", self.vault.seal(stream, "x", Secret(self.new.secret("hex").reveal() * 30_000)))
        await refused("plain, too long", self.vault.seal(stream, "x", self.new.secret().reveal() * 90_000), plain=True)
        await refused("a list", self.vault.seal(stream, "x", [self.new.secret().reveal()]), plain=True)  # type: ignore[arg-type]
        index = self.places.see_object("a keyed hash", await self.vault.blind_index("canaries"))
        self.places.see_object("a hash", index.of(self.new.secret(), self.new.secret().reveal(), self.new.new().blob))
        await refused("no hash", _awaited(lambda: index.of(Secret(f"{self.new.secret().reveal()}\ud800"))))
        await refused("no hash of plain", _awaited(lambda: index.of(f"{self.new.secret().reveal()}\ud800")))
        return [(Sealed(stream, field, value), made[field]) for field, value in values.items()]

    # --- databases ------------------------------------------------------------------------------------

    async def databases(self) -> None:
        """Passwords in URLs of databases, also in such as are none."""
        for form in ("postgresql://ada:{}@host:port/x", "postgresql://ada:{}@/x?host=/nowhere", "mysql://ada:{}@host/x",
                     "postgresql://ada@/x?host=/nowhere&password={}", "sqlite://ada:{}@host/x"):  # fmt: skip
            url = Secret(form.format(self.new.secret("hex").reveal()))
            await self.places.refused("a database", _opened(url), plain=True)

    # --- the log of the program -----------------------------------------------------------------------

    def logged(self) -> None:
        """Secrets by type and by name, wherever they may be in what a program logs."""
        say = structlog.get_logger("engine")
        one, other, token = self.new.secret(*TEXTS), self.new.secret(), self.new.secret("hex").reveal()
        say.info("by type", found=one, several=[one, (other,)], mapped={"a": {"b": one}}, all={one.reveal: other})
        say.info("by name", password=self.new.secret().reveal(), api_key=self.new.new().blob.reveal())
        say.info("nested", headers=[("Authorization", self.new.secret().reveal())], a={"b": [{"token": token}]})
        say.info(
            "in a text", detail=f"Settings(api_key={self.new.secret().reveal()!r}, x=1)", url=f"redis://:{token}@h"
        )
        say.warning("in Structs", login=Login("ada", self.new.secret().reveal()), held=Held(one, deque([other])))
        say.warning("in dataclasses", account=Account("a", Login("ada", token), self.new.secret().reveal()))
        say.error("in an argument", error=ValueError(one, {"password": self.new.secret().reveal()}))
        say.error(f"password={token}", stack=[f"secret: {token}"])
        try:
            _fails(self.new.secret(), self.new.secret().reveal())
        except RuntimeError as error:
            say.exception("in the variables of frames")
            say.error("as a field", error=error, exc_info=error)


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """A type for a setting."""

    level: int
    token: str = ""


class Login(msgspec.Struct):
    user: str
    password: str


class Held(msgspec.Struct):
    one: Secret[str]
    others: Any


@dataclasses.dataclass
class Account:
    name: str
    login: Login
    api_secret: str


def _fails(found: Secret[str], password: str) -> None:
    holder = [found, Login("ada", password), {"token": password}]
    try:
        raise ValueError(f"no login with password={password!r}", found)
    except ValueError as error:
        raise RuntimeError(f"{len(holder)} were held", found, {"secret": password}) from error


def _sealable(canary: Canary) -> Secret[str] | Secret[bytes]:
    return canary.blob if canary.shape == "bytes" else canary.secret


async def _awaited(call: Callable[[], Any]) -> Any:
    return call()


async def _opened(url: Secret[str]) -> None:
    async with EventLog.open(url.reveal()):
        pass
