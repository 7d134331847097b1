"""The mutation run: the list of known survivors."""

from __future__ import annotations

from proof.mutation import ROOT, SURVIVORS, read_survivors


def test_the_list_of_survivors_speaks_of_lines_that_exist() -> None:
    """A survivor of a line that was edited since is to be looked at anew."""
    for function, before, _ in read_survivors(SURVIVORS):
        parts = function.split(".")
        paths = [ROOT.joinpath(*parts[:end]).with_suffix(".py") for end in range(2, len(parts))]
        source = next(path for path in paths if path.is_file()).read_text("utf-8")
        assert before, function
        assert {line.strip() for line in source.splitlines()} >= set(before), function
