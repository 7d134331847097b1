"""The reference page of the metrics, generated from their table; prints, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from exporter.errors import Reason
from exporter.metrics.families import TABLE, Family

_HEAD = """# Metrics

Generated from `exporter/metrics/families.py` by `make docs`; do not edit.

Ratios are 0 to 1, times are seconds, no sample carries a timestamp. The values come from a
poll every interval (5 minutes unless configured otherwise), not from the scrape: scraping
more often shows nothing new and costs no API request.

## Labels

| label | meaning |
|---|---|
| `operation` | the name of the operation in the configuration |
| `skill_id` | the numeric id of the skill, or `all` for the operation as a whole |
| `skill` | the name of the skill, its id where it has none |
| `type_interaction` | the channel as the API names it: `inbound`, `chat-whatsapp`, …; `unknown` where it is empty |
| `window` | `today`: the day so far; `yesterday`: the whole day before, from its closing poll to the next midnight; `month`: the first of the month to the end of yesterday; `last_month`: the whole month before |
| `threshold_seconds` | `10`, `20` or `30` |
| `report` | the API report: `skill_11`, `token_info`, `skills` |
| `reason` | of a failure: {reasons}; of a pause: `quota`, `unauthorized` |

`skill_id="all"` already holds every skill: never add it to single skills.

## Fresh, late, expired

Fresh: the last attempt succeeded. Late: it failed; the last good values stay, `wolkvox_up`
is 0 and `time() - wolkvox_last_success_timestamp_seconds` grows. Expired: no success for
`stale_after` (three intervals): the series of the query vanish, so that an outage of the
report never looks like a quiet day; the `wolkvox_up` family stays. At local midnight the
`today` gauges vanish, and `yesterday` appears with the poll that closes the day.

`month` and `last_month` are Wolkvox's own figures, asked for once a day in the place of a poll
(`month: false` turns it off), the finished month as soon as it is over. They outlive
`stale_after`, but not three days without a success; `month` ends with its month, `last_month`
with the answer for the next one. Where Wolkvox refuses the long range, or takes too long, the
last answer stays and `wolkvox_skill_window_end_timestamp_seconds` tells how old it is.

A channel seen in the last 8 days and missing in a day's answer has counts of 0 and no ratios
and averages: the API leaves out channels without traffic.
"""


def reference() -> str:
    """The page as Markdown: a heading for each group, a table of its metrics."""
    reasons = ", ".join(f"`{reason}`" for reason in Reason)
    parts = [_HEAD.format(reasons=reasons)]
    for group, families in groupby(TABLE, key=lambda family: family.group):
        parts.append(f"\n## {group}\n\n| metric | type | labels | meaning | from |")
        parts.append("|---|---|---|---|---|")
        parts.extend(_rows(families))
    return "\n".join(parts) + "\n"


def _rows(families: Iterator[Family]) -> Iterator[str]:
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} | {family.source} |"


if __name__ == "__main__":
    print(reference(), end="")
