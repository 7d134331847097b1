"""Tools for people beside the running exporter: probe, skills, backfill.

They send requests under the rules of the exporter and share its attempts, its budget and its
token locks through the state directory.
"""
