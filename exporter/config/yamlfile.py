"""One YAML file -> plain lists, mappings and scalars; knows nothing of what they mean.

PyYAML's safe loader made stricter: duplicate keys are told, tags and self-containing or
exploding aliases are refused, and scalars follow YAML 1.2, where NO is text and only true
and false are booleans. Numbers with leading zeros become `Unquoted`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from exporter.config.values import Unquoted, may_show
from exporter.errors import ConfigError, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_UNFOLDED = 500_000  # nodes that aliases repeat, above those that are written


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and the keys that stand twice in one mapping (`line 3, …`)."""

    value: object
    duplicates: tuple[str, ...]


def read_yaml(path: Path) -> Document:
    """Read one file; raise ConfigError with one problem where it is no YAML document."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _broken(path, "the file does not exist") from None
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "its name holds a null character"
        raise _broken(path, f"the file cannot be read ({why})") from None
    if len(content) > MAX_BYTES:
        raise _broken(path, "the file is larger than 4 MiB")
    try:
        return parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _broken(path, f"line {line}: the file is not UTF-8 text") from None
    except yaml.YAMLError as exc:
        raise _broken(path, _explain(exc)) from None
    except RecursionError:
        raise _broken(path, "lists and mappings are nested too deeply") from None


def parse_yaml(text: str) -> Document:
    """Parse one document; raise yaml.YAMLError (or RecursionError) where it is none.

    libyaml reads eight times as fast; what it objects to is read again by PyYAML's own
    parser, whose errors are known (`_PARSER_WORDS`). Tabs and byte order marks inside the
    text are left to that one: libyaml takes some that it refuses.
    """
    if _FastLoader is not None and not set("\t\ufeff") & set(text):
        try:
            return _parsed(_FastLoader(text))
        except yaml.YAMLError:
            pass
    return _parsed(_Loader(text))


def _parsed(loader: _Strict) -> Document:
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, ())
        _refuse_explosion(node)
        value = loader.construct_document(node)
    finally:
        loader.dispose()
    return Document(value, tuple(loader.duplicates))


class _Strict(Composer, SafeConstructor, Resolver):
    """Events to values, with YAML 1.2's scalars and a memory for duplicate keys.

    Where the events come from is for its children to say.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # as PyYAML declares it
    yaml_constructors = {}  # noqa: RUF012

    def __init__(self) -> None:
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self.duplicates: list[str] = []

    def dispose(self) -> None:
        """Free what the parser holds; overridden by it."""
        raise NotImplementedError

    def construct_document(self, node: yaml.Node) -> object:
        value: object = super().construct_document(node)
        return value

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[object, object]:
        """Note duplicate keys before `<<` adds more: overriding a merged key is fine."""
        seen: set[str] = set()
        for key, _value in node.value:
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                raise ConstructorError(
                    None, None, "a key must be text: write it in quotes", key.start_mark
                )
            if key.value in seen:
                named = f" {key.value}" if is_plain_key(key.value) else ""
                self.duplicates.append(f"{_place(key.start_mark)}: the key{named} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Loader(Reader, Scanner, Parser, _Strict):
    """Reads with the parser that is written in Python."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        _Strict.__init__(self)


def _fast_loader() -> Callable[[str], _Strict] | None:
    """The same over libyaml, where PyYAML was built with it.

    Composing stays in Python: libyaml's own ends the process on deeply nested lists.
    """
    if not yaml.__with_libyaml__:
        return None
    from yaml._yaml import CParser  # noqa: PLC0415 - it may be missing

    class Loader(_Strict, CParser):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _Strict.__init__(self)

        def dispose(self) -> None:
            CParser.dispose(self)

    return Loader


_FastLoader = _fast_loader()


def is_plain_key(key: str) -> bool:
    """Tell whether a key may be repeated to people: others may be misplaced tokens."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,31}", key) is not None and may_show(key)


def _scalar(loader: _Strict, node: yaml.ScalarNode) -> object:
    """Read a scalar whose tag was put there by its form or by `!!int` and the like."""
    if not isinstance(node, yaml.ScalarNode):  # `!!int [1]`
        raise ConstructorError(None, None, "is no single value", node.start_mark)
    written = node.value
    kind = node.tag.rpartition(":")[2]
    try:
        if kind == "int":
            return Unquoted(written) if re.match(r"[-+]?0[0-9]", written) else int(written)
        if kind == "float":
            return float(written.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise ConstructorError(None, None, "is not a number", node.start_mark) from None
    if kind == "bool":
        return written.lower() == "true"
    return None


def _register() -> None:
    """Teach the loader its scalars; everything with another tag is refused."""
    table = (
        ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789")),
        ("float", r"[-+]?[0-9]{1,18}\.[0-9]{0,18}([eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
        ("merge", r"<<", ["<"]),
    )
    for kind, pattern, first in table:
        tag = f"tag:yaml.org,2002:{kind}"
        _Strict.add_implicit_resolver(tag, re.compile(f"^(?:{pattern})$"), first)
        if kind != "merge":
            _Strict.yaml_constructors[tag] = _scalar
    safe = yaml.SafeLoader.yaml_constructors
    for known in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
        _Strict.yaml_constructors[known] = safe[known]
    # PyYAML's entry for every other tag, which raises.
    _Strict.yaml_constructors[None] = safe[None]


_register()


def _refuse_explosion(root: yaml.Node) -> None:
    """Refuse aliases that would add more than MAX_UNFOLDED nodes, or a node inside itself."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in inside:
            raise ConstructorError(None, None, "an alias (*) contains itself", node.start_mark)
        inside.add(id(node))
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(size(item) for item in node.value)
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)
        if total - len(sizes) > MAX_UNFOLDED:
            raise ConstructorError(
                None, None, "there is too much in it (aliases unfolded)", node.start_mark
            )
        inside.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root)


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


# The parser's own words may quote the text around an error, hence a token: they are replaced.
_PARSER_WORDS = (
    ("undefined alias", "text that begins with * must stand in quotes (it reads as an alias)"),
    ("tag", "text that begins with ! must stand in quotes (it reads as a tag)"),
    ("duplicate anchor", "an anchor (&) of this name stands twice"),
    ("escape", "a backslash means something inside \"…\": use '…' instead"),
    ("cannot start any token", "a tab or a sign such as @, ` or % must stand in quotes"),
    (
        "not allowed here",
        "a colon with a blank after it must stand in quotes; or is it indented wrongly?",
    ),
    ("simple key", "a key must end with a colon and stand on one line"),
    ("single document", "one file holds one document: the second --- must go"),
)


def _explain(exc: yaml.YAMLError) -> str:
    """Say where and why a text is not YAML, without repeating any of it."""
    if not isinstance(exc, yaml.MarkedYAMLError):
        return "is not YAML: it holds a character that must not stand in a text"
    mark = exc.problem_mark or exc.context_mark
    place = f"{_place(mark)}: " if mark else ""
    problem = exc.problem or ""
    if isinstance(exc, ConstructorError) and "tag" not in problem:
        return f"{place}{problem}"
    words = next(
        (text for sign, text in _PARSER_WORDS if sign in f"{exc.context} {problem}"), None
    )
    return f"{place}is not YAML: {words or 'brackets, quotes or the indentation do not match'}"


def _broken(path: Path, reason: str) -> ConfigError:
    return ConfigError([Problem(str(path), reason)])
