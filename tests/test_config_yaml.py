"""YAML as the configuration reads it: strict, and total over whatever bytes come."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import load, yamlfile
from exporter.config.values import KEYS, Unquoted
from exporter.config.yamlfile import MAX_BYTES, Document, read_yaml
from exporter.errors import ConfigError

GOOD = 'operations: [{name: a, server: "0013", token: canary-01, skills: [{id: 1}]}]'
NAMES = sorted({key for model in KEYS.values() for key in model})


def parsed(directory: Path, text: str) -> Document:
    """Read a text as a file."""
    file = directory / "any.yml"
    file.write_text(text, encoding="utf-8")
    return read_yaml(file)


def test_scalars_mean_what_they_look_like(tmp_path: Path) -> None:
    """Scalars follow YAML 1.2: nothing turns into a date, a Norwegian no or an octal."""
    scalars: dict[str, object] = {
        **{text: text for text in ("NO", "yes", "on", "1e3", "1:30", "12:30", "0x_", "9" * 30)},
        "2026-11-22": "2026-11-22", "'0013'": "0013", "!!str 0013": "0013",
        "0013": Unquoted("0013"), "true": True, "False": False, "~": None, "": None,
        "13": 13, "0": 0, "-5": -5, "!!int 7": 7, "0.8": 0.8,
        "{a: &x [1], b: *x}": {"a": [1], "b": [1]},
        "{a: &x {k: 1}, b: {<<: *x, k: 2}}": {"a": {"k": 1}, "b": {"k": 2}},
        "{b: {<<: [{k: 1}, {k: 2, l: 3}]}}": {"b": {"k": 1, "l": 3}},
        "{4173: Ventas, true: x}": {"4173": "Ventas", "true": "x"},
    }  # fmt: skip
    for text, value in scalars.items():
        document = parsed(tmp_path, text)
        assert document.value == value, text
        assert type(document.value) is type(value), text
        assert document.duplicates == ()


def test_what_is_no_plain_document_is_refused(tmp_path: Path) -> None:
    """Tags, broken numbers, keys that are no text and aliases of themselves are errors."""
    for text in (
        "!!int x", "!!float x", "a: !!int [1, 2]", "a: !!bool {a: b}", "a: !!float [a]",
        "a: !!null [x]", "!!python/object:os.system {}", "!!timestamp 2026-99-99",
        "? [a]\n: b", "a: &a [*a]", "\x07", "a: [", "'", "a: &x 1\nc: *y", "<<: 1",
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            parsed(tmp_path, text)
        [problem] = caught.value.problems
        assert problem.line, text


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    """What is not written has the line of what holds it; of a key that stands twice, each."""
    document = parsed(tmp_path, "a:\n  - b: 1\n    c: {d: 2}\n\n  - x\na: 3\n")
    places = [(), ("a", 0), ("a", 0, "b"), ("a", 0, "c", "d", "e"), ("a", 1, "none"), ("z",)]
    assert [document.line(loc) for loc in places] == [1, 2, 2, 3, 5, 1]
    assert document.duplicates == ((("a",), 6),)


def test_aliases_that_explode_are_refused(tmp_path: Path) -> None:
    """Nine lines of aliases or merges that unfold to a billion nodes end in one line."""
    for first, following in (
        ("[x, x, x, x, x, x, x, x, x, x]", "[{}]"),
        ("{k: 1}", "{{<<: [{}]}}"),
    ):
        lines = [f"a0: &a0 {first}"]
        for n in range(1, 9):
            lines.append(f"a{n}: &a{n} " + following.format(", ".join([f"*a{n - 1}"] * 10)))
        with pytest.raises(ConfigError, match="too much in it"):
            parsed(tmp_path, "\n".join(lines))


def test_a_file_of_four_mebibytes_is_read(tmp_path: Path) -> None:
    """What fits into the limit is read."""
    file = tmp_path / "wolkvox.yml"
    count = MAX_BYTES // 100
    lines = [f"- {number:097}" for number in range(count)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert MAX_BYTES - 100 < file.stat().st_size <= MAX_BYTES == 4 << 20
    value = read_yaml(file).value
    assert isinstance(value, list)
    assert len(value) == count


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    """Whatever is wrong with the bytes is told in one line that begins with the file."""
    file = tmp_path / "wolkvox.yml"
    for content, message in (
        (b"a: \xff", ":1: the file is not UTF-8 text"),
        (b"a: 1\n\x00", ":2: is not YAML: it holds a character"),
        (b"[" * 2000, ":1: lists and mappings are nested too deeply"),
        (b"#" * (MAX_BYTES + 1), ": the file is larger than 4 MiB"),
        (b"a: '\\q' \"", ":1: is not YAML"),
        (b'a: "\\q"', "a backslash means something"),
        (b"a\nb: 1", ":2: is not YAML"),
        (b"a: 1\nb: @x", "a sign such as @"),
        (b"a: 1\nb\n", ":2: is not YAML at column 1: a key must end with a colon"),
        (b"a:\n  b: 1\n c: 2", ":3: is not YAML at column 2: the indentation"),
        (b"%YAML 9.9\n---\na: 1", "is not YAML"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load([file], {})
        [problem] = caught.value.problems
        assert str(problem).startswith(f"{file}:"), content[:20]
        assert message in str(problem), content[:20]
        assert "\n" not in str(problem)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file and one that is no file are told by name."""
    for path, why in (("none.yml", "does not exist"), ("a/\0", "null"), ("f.yml/x", "cannot")):
        (tmp_path / "f.yml").write_text(GOOD, encoding="utf-8")
        with pytest.raises(ConfigError, match=why):
            read_yaml(tmp_path / path)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Files saved by Windows editors are read."""
    file = tmp_path / "wolkvox.yml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load([file], {}).operations[0].name == "a"


def load_bytes(directory: Path, content: bytes) -> None:
    """Load bytes as a file; anything but a ConfigError is a failure."""
    file = directory / "any.yml"
    file.write_bytes(content)
    told = ""
    try:
        load([file], {"ACME_TOKEN": "canary-01"})
    except ConfigError as exc:
        told = str(exc)
    told.encode("utf-8")


in_one_directory = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["0013", "wv0013", "5m", "80%", "all", "discover", "24/7", "20s", "CO"]),
    st.sampled_from(["http://127.0.0.1/", "https://x/", "ACME_TOKEN", ".", "Mo-Fr sunrise PH"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), inner, max_size=6
        ),
    ),
    max_leaves=25,
)


@in_one_directory
@given(content=st.binary(max_size=60))
def test_no_bytes_raise_anything_else(tmp_path: Path, content: bytes) -> None:
    """Any bytes are a configuration or a ConfigError."""
    load_bytes(tmp_path, content)


@in_one_directory
@given(text=st.text(alphabet=" \n\t:-[]{}&*!|>'\"%@`,?#~<=0123456789abnoxyz.\\", max_size=60))
def test_no_text_raises_anything_else(tmp_path: Path, text: str) -> None:
    """Any text made of YAML's own signs is a configuration or a ConfigError."""
    load_bytes(tmp_path, text.encode())


@in_one_directory
@given(
    operations=st.lists(st.dictionaries(st.sampled_from(NAMES), TREES, max_size=8), max_size=3),
    defaults=st.dictionaries(st.sampled_from(NAMES), TREES, max_size=4),
)
def test_no_structure_raises_anything_else(
    tmp_path: Path, operations: list[object], defaults: object
) -> None:
    """Any mapping of known keys to anything is a configuration or a ConfigError."""
    document = {"defaults": defaults, "operations": operations}
    load_bytes(tmp_path, yaml.safe_dump(document).encode())


def _outcome(directory: Path, text: str) -> object:
    """What a text reads as, as something to compare; all errors are the same."""
    try:
        document = parsed(directory, text)
    except ConfigError:
        return "error"
    return repr((document.value, document.lines, document.duplicates))


def test_both_parsers_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether PyYAML was built with libyaml or not, every file shipped means the same."""
    files = [*Path("docs").rglob("*.y*ml"), *Path("deploy").rglob("*.y*ml")]
    texts = [text for file in files if "{{" not in (text := file.read_text(encoding="utf-8"))]
    texts += [
        "a: {id: 0013, name: 'x'}\na: no\n",
        "k: &x [1, 2.5, ~, true]\nl: *x\n",
        "a: b: c",
        "a:\n\t- 1",
        "- |\n  long\n- >-\n  text\n",
    ]
    before = [_outcome(tmp_path, text) for text in texts]
    monkeypatch.setattr(yamlfile, "LOADER", yaml.SafeLoader)

    assert len(texts) > 10
    assert before == [_outcome(tmp_path, text) for text in texts]


def test_deep_nesting_ends_no_process(tmp_path: Path) -> None:
    """Neither the stack of libyaml nor that of Python overflows."""
    for start in ("[", "- ", "{a: ", "? "):
        with pytest.raises(ConfigError):
            parsed(tmp_path, start * 200_000)
