"""One operation's form and its defaults -> an Operation; what its keys mean together.

Reads the token and the CA file once, so that what is missing shows at the start. Compares
nothing with other operations: that is `checks`.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from exporter.config import hours
from exporter.config.addresses import Endpoint
from exporter.config.form import DefaultsForm, OperationForm, SkillForm, SlaForm
from exporter.config.model import (
    DEFAULT_INTERVAL,
    DEFAULT_TIMEOUT,
    DEFAULT_TIMEZONE,
    Operation,
    ServiceLevel,
    Skill,
    SlaEntry,
)
from exporter.config.reading import Problems, Reading
from exporter.config.tokens import TokenSource, TokenUnreadable
from exporter.config.values import ALL_SKILLS, format_duration, timezone

SHORTEST_INTERVAL = 300.0
LONGEST_INTERVAL = 3600.0
SHORTEST_LOOPBACK_INTERVAL = 1.0
SHORTEST_TIMEOUT, SHORTEST_LOOPBACK_TIMEOUT, LONGEST_TIMEOUT = 1.0, 0.1, 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's paths and environment lead: relative files start at `directory`."""

    directory: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Merged:
    """An operation over its defaults, and where each of its keys was written."""

    form: OperationForm
    own: Reading[OperationForm]
    defaults: Reading[DefaultsForm]

    def where(self, key: str) -> str:
        """Return the path at which a key was written (or should have been)."""
        from_defaults = key in self.defaults.given and key not in self.own.given
        path = self.defaults.path if from_defaults else self.own.path
        return f"{path}.{key}" if path else key

    def usable(self, *keys: str) -> bool:
        """Tell whether none of the keys in force is wrong in itself."""
        return all(
            self.own.usable(key) and (key in self.own.given or self.defaults.usable(key))
            for key in keys
        )


def merge(own: Reading[OperationForm], defaults: Reading[DefaultsForm]) -> Merged:
    """Lay an operation over the defaults of its file: whole keys, but labels one by one."""
    update = {
        key: getattr(defaults.form, key)
        for key in defaults.form.model_fields_set
        if key not in own.given
    }
    if defaults.form.labels and own.form.labels:
        update["labels"] = {**defaults.form.labels, **own.form.labels}
    return Merged(own.form.model_copy(update=update), own, defaults)


def build(merged: Merged, place: Place, problems: Problems) -> Operation | None:
    """Return the operation, or None with at least one problem added somewhere."""
    form, before = merged.form, len(problems)
    _check_name(merged, problems)
    endpoint = _endpoint(merged, problems)
    token = _token(merged, place, problems)
    interval = form.interval or DEFAULT_INTERVAL
    stale_after = form.stale_after if form.stale_after is not None else 3 * interval
    _check_times(merged, endpoint, problems)
    _check_skills(merged, endpoint, problems)
    _check_hours(merged, problems)
    ca_file = _ca_file(merged, place, problems)
    broken = merged.own.broken or merged.defaults.broken or len(problems) > before
    if broken or endpoint is None or token is None:
        return None
    listed = form.skills if isinstance(form.skills, list) else []
    return Operation(
        name=form.name,
        base_url=endpoint.base_url,
        server=endpoint.server,
        loopback=endpoint.loopback,
        token=token,
        timezone=form.timezone or timezone(DEFAULT_TIMEZONE),
        interval=interval,
        timeout=form.timeout or DEFAULT_TIMEOUT,
        stale_after=stale_after,
        daily_requests=form.daily_requests,
        poll_hours=form.poll_hours,
        labels=MappingProxyType(dict(form.labels or {})),
        ca_file=ca_file,
        proxy=form.proxy.get_secret_value() if form.proxy else None,
        shard=form.shard,
        token_info=bool(form.token_info),
        discover=form.skills == "discover",
        skills=tuple(Skill(s.id, s.name or s.id, s.interval) for s in listed),
        sla=tuple(_sla_entry(entry) for entry in form.sla or []),
    )


def _check_name(merged: Merged, problems: Problems) -> None:
    if "name" not in merged.own.given:
        problems.add(merged.where("name"), "is missing: name the operation, as in name: acme")


def _one_of(merged: Merged, keys: tuple[str, ...], problems: Problems) -> str | None:
    """Return the one key given of several, after saying what is wrong with none or more."""
    given = [key for key in keys if key in merged.own.given]
    listed = f"{', '.join(keys[:-1])} or {keys[-1]}"
    if not given:
        problems.add(merged.where(keys[0]), f"is missing: write one of {listed}")
    for key in given[1:]:
        problems.add(merged.where(key), f"stands beside {given[0]}: write only one of {listed}")
    return given[0] if len(given) == 1 else None


def _endpoint(merged: Merged, problems: Problems) -> Endpoint | None:
    if _one_of(merged, ("server", "url"), problems) is None:
        return None
    return merged.form.server or merged.form.url


def _token(merged: Merged, place: Place, problems: Problems) -> TokenSource | None:
    """Find where the token comes from, and read it once."""
    form = merged.form
    key = _one_of(merged, ("token_file", "token_env", "token"), problems)
    if key is None or not merged.own.usable(key):
        return None
    source = TokenSource(value=form.token)
    if form.token_file is not None:
        source = TokenSource(file=place.directory / form.token_file)
    elif form.token_env is not None:
        if form.token_env not in place.environ:
            unset = TokenSource(variable=form.token_env).describe()
            problems.add(merged.where(key), f"{unset} is not set")
            return None
        value = SecretStr(place.environ[form.token_env])
        source = TokenSource(variable=form.token_env, value=value)
    try:
        source.read()
    except TokenUnreadable as exc:
        problems.add(merged.where(key), str(exc))
        return None
    return source


def _check_times(merged: Merged, endpoint: Endpoint | None, problems: Problems) -> None:
    form = merged.form
    interval = form.interval or DEFAULT_INTERVAL
    # Where the address is wrong itself, nothing is said of what it would have allowed.
    loopback = endpoint is None or endpoint.loopback
    if form.interval is not None:
        _check_interval(form.interval, merged.where("interval"), loopback, problems)
    if form.timeout is not None:
        shortest = SHORTEST_LOOPBACK_TIMEOUT if loopback else SHORTEST_TIMEOUT
        if not shortest <= form.timeout <= LONGEST_TIMEOUT:
            problems.add(
                merged.where("timeout"),
                f"must be between {format_duration(shortest)} and"
                f" {format_duration(LONGEST_TIMEOUT)}",
            )
    stale_after = form.stale_after
    if stale_after is not None and merged.usable("interval") and stale_after <= interval:
        problems.add(
            merged.where("stale_after"),
            f"must be longer than the interval of {format_duration(interval)}:"
            " else values vanish between two polls",
        )


def _check_interval(seconds: float, path: str, loopback: bool, problems: Problems) -> None:
    if seconds > LONGEST_INTERVAL:
        problems.add(path, f"{format_duration(seconds)} is too long: write 1h or less")
    elif loopback and seconds < SHORTEST_LOOPBACK_INTERVAL:
        problems.add(path, "is too short: write 1s or more")
    elif not loopback and seconds < SHORTEST_INTERVAL:
        problems.add(
            path,
            f"{format_duration(seconds)} is too short: write 5m (300s) or more"
            " (less is for loopback addresses only)",
        )


def _check_skills(merged: Merged, endpoint: Endpoint | None, problems: Problems) -> None:
    path, skills = merged.where("skills"), merged.form.skills
    if "skills" not in merged.own.given | merged.defaults.given:
        problems.add(path, "is missing: list the skills to poll, or write skills: discover")
    if not isinstance(skills, list):
        return
    seen: dict[str, int] = {}
    loopback = endpoint is None or endpoint.loopback
    for index, skill in enumerate(skills):
        key = skill_key(skill.id)
        if key in seen:
            problems.add(f"{path}.{index}.id", _twice(skill, f"{path}.{seen[key]}"))
        seen.setdefault(key, index)
        if skill.interval is not None:
            _check_interval(skill.interval, f"{path}.{index}.interval", loopback, problems)
    if "sla" in merged.own.given:
        for entry, number, skill_id in sla_skills(merged.form.sla):
            if skill_key(skill_id) not in seen:
                problems.add(
                    f"{merged.where('sla')}.{entry}.skills.{number}",
                    f"{skill_id} is not among the skills of this operation",
                )


def skill_key(skill_id: str) -> str:
    """Return what makes two ids the same skill: leading zeros do not count."""
    return skill_id.lstrip("0") or "0"


def sla_skills(entries: list[SlaForm] | None) -> list[tuple[int, int, str]]:
    """List the skills that targets name: (number of the entry, number in it, skill id)."""
    return [
        (entry, number, skill_id)
        for entry, form in enumerate(entries or [])
        for number, skill_id in enumerate(form.skills or [])
    ]


def _twice(skill: SkillForm, first: str) -> str:
    what = "all" if skill.id == ALL_SKILLS else f"skill {skill.id}"
    return f"{what} stands twice: it is already {first}"


def _check_hours(merged: Merged, problems: Problems) -> None:
    """Refuse holidays that no country explains: they would be ignored without a word."""
    form = merged.form
    if form.poll_hours is not None and hours.names_holidays(form.poll_hours):
        problems.add(
            merged.where("poll_hours"), "cannot know holidays: leave PH (and SH) out of it"
        )
    entries = form.sla or []
    # Of an entry with a wrong key only the rest is here: what it lacks means nothing.
    whole = merged.usable("sla")
    known = not whole or any(entry.country for entry in entries)
    for index, entry in enumerate(entries):
        path = f"{merged.where('sla')}.{index}"
        if whole and not entry.model_fields_set - {"channels", "skills"}:
            problems.add(path, "says nothing: give it a target, min_interactions or hours")
        if entry.hours is not None and not known and hours.names_holidays(entry.hours):
            problems.add(f"{path}.hours", "PH needs a country beside it, as in country: CO")


def _ca_file(merged: Merged, place: Place, problems: Problems) -> Path | None:
    """Return the absolute path of a CA file that can be loaded."""
    if merged.form.ca_file is None:
        return None
    path = place.directory / merged.form.ca_file
    try:
        if path.is_file():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
            return path
        problems.add(merged.where("ca_file"), "is not there, or is not a plain file")
    except ssl.SSLError:
        problems.add(merged.where("ca_file"), "holds no certificate in the PEM format")
    except OSError as exc:
        problems.add(merged.where("ca_file"), f"cannot be read ({exc.strerror})")
    return None


def _sla_entry(form: SlaForm) -> SlaEntry:
    level = form.service_level
    return SlaEntry(
        channels=tuple(form.channels) if form.channels else None,
        skills=tuple(form.skills) if form.skills else None,
        service_level=ServiceLevel(int(level.within), level.target) if level else None,
        abandonment_max=form.abandonment.max if form.abandonment else None,
        asa_max=form.asa.max if form.asa else None,
        min_interactions=form.min_interactions,
        hours=form.hours,
        country=form.country,
    )
