"""The Wolkvox API and nothing else: asking, reading answers, windows; knows no metric."""

import sys

# httpx imports its own command line where click, rich and pygments are installed, which
# takes longer than all the rest of the start. A None here is an ImportError there, which
# httpx expects.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
