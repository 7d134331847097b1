"""The token never shows, whole or in part; ordinary text stays as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.wolkvox.text import MASK, one_line, printable, scrub, scrub_body

TOKEN = "7b2275736572223a22636c69656e74227d2d3230323631313232303830303030"


def test_what_gives_the_token_away_is_masked() -> None:
    """Whole, in pieces of 8, cut off at the end, and anybody else's token."""
    for text, scrubbed in (
        ("nothing to hide", "nothing to hide"),
        ("", ""),
        (f"a {TOKEN} b", "a [token] b"),
        (f"a {TOKEN.upper()} b", "a [token] b"),
        (f"a {TOKEN[10:18]} b", "a [token] b"),
        (f"a {TOKEN[10:17]} b", f"a {TOKEN[10:17]} b"),
        (f"{TOKEN[:5]}", "[token]"),
        (f"cut {TOKEN[:6]}…; more", "cut [token]…; more"),
        (f"cut {TOKEN[:3]}…", f"cut {TOKEN[:3]}…"),
        ("another 7b" + "0a" * 25, "another [token]"),
        ("7b" + "0a" * 10, "7b" + "0a" * 10),
        (f"{TOKEN}{TOKEN[3:20]}", "[token][token]"),
    ):
        assert scrub(text, TOKEN) == scrubbed, text


def test_a_text_is_scrubbed_without_a_token_too() -> None:
    """The shape of a token is masked even where none is known."""
    assert scrub(f"x {TOKEN}", "") == f"x {MASK}"


def test_a_short_token_is_masked_in_texts_but_not_in_answers() -> None:
    """A token of three letters could be any word of an answer."""
    assert scrub("code abc", "abc") == "code [token]"
    assert scrub_body(b'{"x": "abc"}', "abc") == b'{"x": "abc"}'


def test_an_answer_loses_the_token_and_its_like() -> None:
    """The body is masked before it is read, so that no cut leaves a part."""
    body = f'{{"a": "{TOKEN}", "b": "7b{"0A" * 30}", "c": "35"}}'.encode()

    assert scrub_body(body, TOKEN) == b'{"a": "[token]", "b": "[token]", "c": "35"}'
    assert scrub_body(b"a canary-token-of-mine b", "canary-token-of-mine") == b"a [token] b"
    assert scrub_body(b"x", "\ud800" * 20) == b"x"


@given(
    before=st.text(max_size=10),
    cut=st.tuples(st.integers(0, 63), st.integers(8, 64)),
    after=st.text(max_size=10),
)
def test_no_piece_of_the_token_survives(before: str, cut: tuple[int, int], after: str) -> None:
    """Wherever a piece stands, no 8 characters of it are left."""
    piece = TOKEN[cut[0] : cut[0] + cut[1]]
    scrubbed = scrub(before + piece + after, TOKEN)

    assert not any(TOKEN[at : at + 8] in scrubbed for at in range(len(TOKEN) - 7))


def test_foreign_text_fits_one_line() -> None:
    """Line breaks, escapes and surrogates are gone; a cut is marked."""
    assert one_line(" a\n\x1b[1m\u2028b\ud800 ", 80) == "a [1m b"
    assert one_line("x" * 11, 10) == "x" * 9 + "…"
    assert one_line(" " * 100 + "y", 10) == "…"
    assert printable("a\x85b\udc00ñ") == "a\ufffdb\ufffdñ"
