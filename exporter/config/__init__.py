"""The configuration: YAML files or environment variables -> frozen values; asks no API."""

from exporter.config.loader import from_environment, in_environment, load
from exporter.config.model import Configuration, Operation, Skill, SlaEntry

__all__ = [
    "Configuration",
    "Operation",
    "Skill",
    "SlaEntry",
    "from_environment",
    "in_environment",
    "load",
]
