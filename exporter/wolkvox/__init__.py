"""The Wolkvox API and nothing else: asking, reading answers, windows; knows no metric."""

import sys

# httpx imports its own command line where click, rich and pygments are installed: 0.25 s of a
# start, whose first scrape may take 1.5 s, and 3 MiB. None here is an ImportError, which it
# expects.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
