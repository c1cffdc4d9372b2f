"""Parameters of strategies: an object of JSON, and of the type that is registered for the strategy's kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from byjy_events.json_text import InvalidJson, json_text, json_text_of
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.strategies import PARAMETERS_LIMIT, StrategyCreated, StrategyParametersChanged

Kinds = Mapping[str, type[Any]]
"""For a kind of strategy the msgspec type of its parameters."""

FIELD = "parameters"


class ParametersVersion(NamedTuple):
    """Parameters that a strategy had.

    Attributes:
        version: 1, 2, 3, …
        parameters: a JSON object as text.
        changed_at: when they became its own, nanoseconds UTC.
        changed_by: the actor.
        position: of the event in the log.
    """

    version: int
    parameters: str
    reason: str
    changed_at: int
    changed_by: str
    position: int


def versions_of(its_events: Iterable[Recorded]) -> list[ParametersVersion]:
    """All parameters that the strategy ever had whose whole stream this is, the oldest first."""
    found = []
    for one in its_events:
        event, what = one.event, (one.effective_at, one.actor, one.position)
        if isinstance(event, StrategyCreated):
            found.append(ParametersVersion(1, event.parameters, "", *what))
        elif isinstance(event, StrategyParametersChanged):
            found.append(ParametersVersion(event.parameters_version, event.parameters, event.reason, *what))
    return found


def parameters_text(kinds: Kinds, kind: str, parameters: Any) -> str:
    """The one spelling of parameters, given as JSON text or bytes, or as what msgspec encodes, e.g. a Struct.

    Raises:
        InvalidJson: they are no JSON object that can be stored, or none that the kind allows; says where.
    """
    if isinstance(parameters, str | bytes):
        text = json_text(FIELD, parameters, limit=PARAMETERS_LIMIT)
    else:
        text = json_text_of(FIELD, parameters, limit=PARAMETERS_LIMIT)
    if not text.startswith("{"):
        raise InvalidJson(FIELD, "$", "expected an object")
    typed_parameters(kinds, kind, text)
    return text


def typed_parameters(kinds: Kinds, kind: str, text: str) -> Any:
    """Parameters as the type of their kind; a dictionary, where none is registered.

    Raises:
        InvalidJson: they are not of that type; says where.
    """
    try:
        return msgspec.json.decode(text, type=kinds.get(kind, dict[str, Any]))
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise InvalidJson(FIELD, path.rstrip("`") or "$", reason[0].lower() + reason[1:]) from None
