"""The Wolkvox API and nothing else: asking, reading answers, windows; knows no metric."""
