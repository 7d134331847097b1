"""What the form of an operation lacks, as pydantic finds it -> what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from exporter.config.model import OWN_KEYS
from exporter.config.values import KEYS, MEANT_KEYS, Invalid, kind, nearest
from exporter.config.yamlfile import Loc, as_yaml, is_plain_key

# The type of an error that only follows from another.
FOLLOWS = "default_factory_not_called"
# Different errors that are the same to whoever wrote the file.
_SAME = dict.fromkeys(("dataclass_type", "model_type"), "dict_type")
_SAME["unexpected_keyword_argument"] = "extra_forbidden"
_UNDER = {"Skill": "skills", "SlaEntry": "sla", "ServiceLevel": "service_level"}


def mistakes(errors: Sequence[ErrorDetails]) -> Iterator[tuple[Loc, Invalid]]:
    """Yield what is wrong with the keys of an operation; what only follows is left out.

    Without its wrong items a list may be empty, and a key that is misspelt is missing.
    """
    places = [place_of(error) for error in errors]
    holders = {place[:end] for place in places for end in range(len(place))}
    both = [one for one in zip(places, errors, strict=True) if one[1]["type"] != FOLLOWS]
    found = [(place, _wrong(error, place)) for place, error in both if place not in holders]
    meant = {(*place[:-1], one) for place, wrong in found for one in meant_keys(wrong)}
    yield from (one for one in found if one[1].message != "missing" or one[0] not in meant)


def meant_keys(wrong: Invalid) -> set[str]:
    """Return the keys that somebody meant by one that is none."""
    return {str(wrong.details.get(one)) for one in ("nearest", "under")}


def place_of(error: ErrorDetails) -> Loc:
    """Return where in the operation an error is."""
    return tuple(part for part in error["loc"] if part != "[key]")


def _wrong(error: ErrorDetails, place: Loc) -> Invalid:
    """Return the message for one of pydantic's errors."""
    message, value = _SAME.get(error["type"], error["type"]), error["input"]
    if message == "extra_forbidden":
        return unknown_key(str(place[-1]), _beside(place), value)
    key = next(part for part in reversed(place) if isinstance(part, str))
    said = _beside((*place[: place.index(key)], key)).get(key, {})
    example = said.get("example")
    if place[-1] != key and isinstance(example, list):
        example = example[0]
    elif (
        message == "tuple_type"
        and said["type"] in {"[short]", "[skill_id]", "[date]"}
        and isinstance(value, (str, int))
        and is_plain_key(f"_{value}")
    ):
        example = [value]
    shown = "" if example is None else as_yaml(example)
    details = {"kind": kind(value), "key": key, "example": shown}
    if value is None:
        needed = place[-1] != key or said.get("default") == "required" or place[0] in OWN_KEYS
        return Invalid("empty_needed" if needed else "empty", **details)
    if isinstance(value, str) and value.startswith(tuple("“”„«‘’")):
        return Invalid("quotes_curly")
    if isinstance(cause := error.get("ctx", {}).get("error"), Invalid):
        return Invalid(cause.message, **details | cause.details)
    return Invalid(message, **details, ge=error.get("ctx", {}).get("ge"))


def _beside(place: Loc) -> dict[str, dict[str, Any]]:
    """Return the keys that may stand where a place of an operation is."""
    model = "Operation"
    for part in place[:-1]:
        held = KEYS[model].get(str(part), {}).get("type", "").strip("[]")
        model = held if held in KEYS else model
    return KEYS[model]


def unknown_key(key: str, known: Mapping[str, object], value: object = "") -> Invalid:
    """Say of a key that is none which one was meant, or where it belongs."""
    if not is_plain_key(key):
        begin = re.split("[:=]", key)[0].strip()
        return Invalid("key_odd", nearest=begin if begin in known else "")
    hint = MEANT_KEYS.get(key.casefold(), "")
    if hint not in known:
        hint = next(iter(known)) if len(known) == 1 else nearest(key, known.keys())
    homes = [model for model, keys in KEYS.items() if key in keys]
    if len(homes) == 1 or (homes and known is KEYS["File"]):
        of_operation = "key_of_one" if key in OWN_KEYS else "key_of_operation"
        under = _UNDER.get(homes[0])
        message = {"File": "key_of_file", "Operation": of_operation}.get(homes[0], "key_under")
        return Invalid(message, nearest="" if hint == under else hint, under=under)
    message = "key_comma" if value is None and not hint else "extra_forbidden"
    return Invalid(message, nearest=hint)
