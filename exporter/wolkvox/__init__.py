"""The Wolkvox API and nothing else: asking, reading answers, windows; knows no metric."""

import importlib.util
import sys

# A None in sys.modules is an ImportError at once, which httpx and httpcore expect. httpx
# imports its own command line where click, rich and pygments are installed, which takes
# longer than all the rest of the start; httpcore looks for sniffio at each request, and
# where it is not installed the search through the whole path costs a millisecond.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]
