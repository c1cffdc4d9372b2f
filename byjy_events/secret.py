"""A value that does not show itself.

What Python can and cannot do: whoever asks for the value gets it, by :meth:`Secret.reveal`, and whoever takes the
object apart on purpose (its closure, ``gc``, a debugger, a core dump) gets it too. Nobody gets it by accident: not by
printing, formatting, comparing, copying, encoding or pickling, nor by a traceback that shows the locals of its frames.
The value stays in memory until the collector frees it, and is not wiped then: ``str`` and ``bytes`` cannot be.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Generic, Never, TypeVar, final

V = TypeVar("V", str, bytes)

MASK = "**********"
"""What is shown instead; it does not tell how long the secret is."""


@final
class Secret(Generic[V]):
    """A secret text, or secret bytes. Immutable, and a copy of it is itself.

    Equal to another secret of the same kind and content, compared in a time that depends on the lengths only; never
    equal to a plain value. It has no hash, is true unless it is empty, and refuses to be pickled; JSON and msgspec
    refuse it as they do any object that they do not know.

    Raises:
        TypeError: it is neither text nor bytes; the error does not show it.
    """

    # Not the value itself: what lists the members or the state of any object would list it.
    __slots__ = ("_reveal",)
    _reveal: Callable[[], V]
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, secret: V) -> None:
        if not isinstance(secret, str | bytes):
            kind = type(secret).__name__
            del secret  # type: ignore[unreachable, unused-ignore] # the traceback shows this frame
            raise TypeError(f"a secret is str or bytes, not {kind}")
        object.__setattr__(self, "_reveal", lambda: secret)

    def reveal(self) -> V:
        """The value. Use it in the expression that needs it: a variable may turn up in a traceback."""
        return self._reveal()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_comparable(self), _comparable(other))

    def __bool__(self) -> bool:
        return bool(self._reveal())

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __copy__(self) -> Secret[V]:
        return self

    def __deepcopy__(self, memo: Any) -> Secret[V]:
        return self

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError("a secret does not change")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError("a secret does not change")

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a secret is not pickled: reveal it where it is needed, or seal it")

    def __reduce__(self) -> Never:
        self.__reduce_ex__(0)

    def __getstate__(self) -> Never:
        self.__reduce_ex__(0)


def _comparable(secret: Secret[Any]) -> bytes:
    """Its kind and content. A text may hold lone surrogates, which have no plain encoding."""
    value = secret.reveal()
    return b"b" + value if isinstance(value, bytes) else b"s" + value.encode("utf-8", "surrogatepass")
