"""All hand-written scenes: when each alert fires, when it must not, when it resolves."""

from __future__ import annotations

from tests import (
    rules_cases_data,
    rules_cases_exporter,
    rules_cases_quota,
    rules_cases_service,
    rules_cases_stale,
    rules_cases_traffic,
)
from tests.rules_centre import CASES

# Importing a module takes its scenes up.
MODULES = (
    rules_cases_data, rules_cases_exporter, rules_cases_quota, rules_cases_service,
    rules_cases_stale, rules_cases_traffic,
)  # fmt: skip
__all__ = ["CASES", "MODULES"]
