"""A mapping from YAML -> its form and its problems in plain words; judges one key at a time.

Pydantic's own messages are not used: they are written for programmers and quote the input.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.form import (
    LIST_TAG,
    OPERATION_ONLY,
    WORD_TAG,
    AbandonmentForm,
    AsaForm,
    DefaultsForm,
    FileForm,
    Form,
    OperationForm,
    ServiceLevelForm,
    SkillForm,
    SlaForm,
)
from exporter.config.values import did_you_mean, kind
from exporter.config.yamlfile import is_plain_key
from exporter.errors import Problem

F = TypeVar("F", bound=Form)

_NESTED: dict[str, type[Form]] = {
    "skills": SkillForm,
    "sla": SlaForm,
    "service_level": ServiceLevelForm,
    "abandonment": AbandonmentForm,
    "asa": AsaForm,
}
_AS_IN = {
    "service_level": "{within: 20s, target: 80%}",
    "abandonment": "{max: 5%}",
    "asa": "{max: 30s}",
    "labels": "{client: acme-bank}",
    "channels": "[inbound]",
    "sla": "- asa: {max: 30s}",
    "operations": "- name: acme",
}
_NO_KEY = "is not a key (is there a colon without a blank after it?)"
_NEEDS = {
    "id": "the number of the skill, or all",
    "within": "10s, 20s or 30s",
    "target": "a percentage such as 80%",
    "max": "the limit",
}


class Problems:
    """What was found wrong so far, each problem once; `prefix` names the file."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._found: dict[Problem, None] = {}  # an ordered set: there may be very many

    @property
    def found(self) -> tuple[Problem, ...]:
        """All problems, in the order in which they were found."""
        return tuple(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, path: str, reason: str) -> None:
        """Note one problem at `operations.0.interval`."""
        self.note(Problem(f"{self.prefix}{path}", reason))

    def note(self, problem: Problem) -> None:
        """Note a problem that names its place itself."""
        self._found.setdefault(problem)


@dataclass(frozen=True, slots=True)
class Reading(Generic[F]):
    """A form without its wrong keys; `given` are all keys written, `broken` the wrong ones."""

    form: F
    path: str
    given: frozenset[str]
    broken: frozenset[str]

    def usable(self, *keys: str) -> bool:
        """Tell whether none of the keys is wrong in itself."""
        return self.broken.isdisjoint(keys)


def read_form(model: type[F], raw: object, path: str, problems: Problems) -> Reading[F]:
    """Read one mapping against its form; whatever is wrong is added to the problems."""
    if not isinstance(raw, dict):
        problems.add(path, f"must be a mapping (key: value), not {kind(raw)}")
        return Reading(model(), path, frozenset(), frozenset(model.model_fields))
    given = frozenset(str(key) for key in raw)
    values = {str(key): value for key, value in copy.deepcopy(raw).items()}
    broken: set[str] = set()
    empty = list(_empty(values, ()))
    for place in empty:
        problems.add(_join(path, place), _why_empty(place[-1]))
        broken.add(str(place[0]))
        _drop(values, place)
    try:
        return Reading(model.model_validate(values), path, given, frozenset(broken))
    except ValidationError as exc:
        # Neither the url nor str(exc): the latter quotes what stands in the file.
        errors = exc.errors(include_url=False)
    told = {_join(path, place) for place in empty}
    for error in errors:
        where = _join(path, error["loc"])
        if error["type"] != "missing" or where not in told:
            problems.add(where, _reason(model, error))
        broken.add(str(error["loc"][0]))
        _drop(values, error["loc"])
    return Reading(_rest(model, values), path, given, frozenset(broken))


def _rest(model: type[F], values: dict[str, object]) -> F:
    """Read what is left, dropping the holder of whatever a dropped key leaves incomplete."""
    while True:
        try:
            return model.model_validate(values)
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_input=False):
                _drop(values, error["loc"])


def _drop(values: dict[str, object], place: Iterable[int | str]) -> None:
    """Take out the key at a place; for an item of a list or a missing key, what holds it."""
    holders: list[tuple[dict[str, object], str]] = []
    here: Any = values
    for step in place:
        if step in {LIST_TAG, WORD_TAG, "[key]"}:
            continue
        if isinstance(here, dict) and step in here:
            holders.append((here, str(step)))
        elif not isinstance(here, list) or not isinstance(step, int):
            break
        here = here[step]
    if holders:
        holder, key = holders[-1]
        del holder[key]


def _empty(value: object, place: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:
    """Find the keys and list items that hold nothing."""
    if value is None:
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _empty(item, (*place, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _empty(item, (*place, index))


def _why_empty(key: int | str) -> str:
    if isinstance(key, int) or is_plain_key(key):
        return "is empty: write a value or leave the key out"
    return _NO_KEY


def _join(path: str, place: Iterable[int | str]) -> str:
    parts = [str(part) for part in place if part not in {LIST_TAG, WORD_TAG, "[key]"}]
    shown = [part if part.isdigit() or is_plain_key(part) else "(key)" for part in parts]
    return ".".join([path, *shown] if path else shown)


def _reason(model: type[Form], error: ErrorDetails) -> str:
    """Say one of pydantic's findings in words for whoever wrote the file."""
    names = [str(part) for part in error["loc"] if isinstance(part, str)]
    key = next((name for name in reversed(names) if name not in {LIST_TAG, WORD_TAG}), "")
    context = error.get("ctx", {})
    found = kind(error["input"])
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "extra_forbidden":
        return _unknown_key(model, names)
    as_in = f", as in {_AS_IN[key]}" if key in _AS_IN else ""
    wording = {
        "missing": f"is missing: write {_NEEDS.get(key, 'it')}",
        "list_type": f"must be a list, not {found}{as_in}",
        "dict_type": f"must be a mapping, not {found}{as_in}",
        "model_type": f"must be a mapping, not {found}{as_in}",
        "too_short": "must not be an empty list",
        "bool_type": f"must be true or false, not {found}",
        "int_type": f"must be a whole number, not {found}",
        "greater_than_equal": f"must be {context.get('ge')} or more",
        "literal_error": "must be a list of skills, or the word discover",
    }
    return wording.get(error["type"], f"cannot be used: {found} does not belong here{as_in}")


def _unknown_key(model: type[Form], names: list[str]) -> str:
    """Say that a key is unknown, and what it may have been meant to be."""
    key = names[-1]
    nested = [_NESTED[name] for name in names[:-1] if name in _NESTED]
    form = nested[-1] if nested else model
    if form is DefaultsForm and key in OPERATION_ONLY:
        return "belongs to each operation: it cannot stand under defaults"
    if not is_plain_key(key):
        return _NO_KEY
    if form is FileForm and key in OperationForm.model_fields:
        return "belongs to an operation: write it under operations or, for all, under defaults"
    return f"is not a known key{did_you_mean(key, list(form.model_fields))}"
