"""The configuration: YAML files or environment variables -> frozen values; asks no API."""

from exporter.config.loader import from_environment, in_environment, load
from exporter.config.model import (
    DEFAULT_MIN_INTERACTIONS,
    Configuration,
    Operation,
    ServiceLevel,
    Skill,
    SlaEntry,
)
from exporter.config.tokens import TokenSource, TokenUnreadable, token_digest
from exporter.config.values import format_duration

__all__ = [
    "DEFAULT_MIN_INTERACTIONS",
    "Configuration",
    "Operation",
    "ServiceLevel",
    "Skill",
    "SlaEntry",
    "TokenSource",
    "TokenUnreadable",
    "format_duration",
    "from_environment",
    "in_environment",
    "load",
    "token_digest",
]
