"""What is allowed in an operation, but probably not meant: the warnings."""

from __future__ import annotations

import re

from exporter.config.model import Found, Operation
from exporter.config.values import CHANNELS, Invalid, channel_meant

# Mail and social networks, where an answer takes hours, and a target that is too quick there.
SLOW_CHANNELS = {one for one in CHANNELS if one.startswith("omni-")} | {"chat-email"}
QUICK_SECONDS = 60


def doubts_of(operation: Operation) -> Found:
    """Yield what is allowed in an operation, but probably not meant."""
    if not (operation.loopback or operation.base_url.endswith("/api/v2/")):
        yield ("url",), Invalid("url_path")
    if offset := re.fullmatch(r"Etc/GMT([-+])([1-9][0-9]*)", operation.timezone.key):
        sign = "-" if offset[1] == "+" else "+"
        yield ("timezone",), Invalid("timezone_etc", offset=f"UTC{sign}{offset[2]}")
    for index, entry in enumerate(operation.sla):
        for number, channel in enumerate(entry.channels or ()):
            if channel not in {*CHANNELS, "unknown"}:  # our own, for an empty one
                loc = ("sla", index, "channels", number)
                hint = channel_meant(channel)
                yield loc, Invalid("channel", quoted=channel, nearest=hint)
        if _reaches_slow_channels(operation, index):
            yield ("sla", index), Invalid("channels_missing")


def _reaches_slow_channels(operation: Operation, index: int) -> bool:
    """Return whether a target in seconds holds for mail, which is hardly meant."""
    entry = operation.sla[index]
    asa = entry.asa_max is not None and entry.asa_max <= QUICK_SECONDS
    quick = {"service_level": entry.service_level is not None, "asa": asa}
    return entry.channels is None and any(
        is_quick
        and not any(
            getattr(later, indicator) is not None
            and (later.skills is None or later.skills == entry.skills)
            and (later.channels is None or set(later.channels) >= SLOW_CHANNELS)
            for later in operation.sla[index + 1 :]
        )
        for indicator, is_quick in quick.items()
    )
