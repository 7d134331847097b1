"""A look-alike of the Wolkvox API with a contact centre behind it, for demo and tests.

It is written from what is known of the real API and imports nothing of the rest of the
exporter: a name or a formula that is wrong on one side shows as a difference.
"""
