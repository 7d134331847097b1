"""The configuration in force as YAML for people to read: resolved, and without a secret.

A token is named by the place it comes from, a proxy loses its user and password. Every
default is written out. Where tokens come from files or the environment and no proxy has a
password, the result is itself a configuration with the same meaning.
"""

from __future__ import annotations

import yaml

from exporter.config.model import Configuration

# libyaml is many times faster, and not in every build of PyYAML.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def redacted(configuration: Configuration) -> str:
    """The operations as YAML, each key as it would be written in the file."""
    operations = [
        operation.model_dump(mode="json", by_alias=True, exclude_none=True)
        for operation in configuration.operations
    ]
    text: str = yaml.dump(
        {"operations": operations},
        Dumper=_DUMPER,
        allow_unicode=True,
        sort_keys=False,
        width=100,
    )
    return text
