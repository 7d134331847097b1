"""Tools for people beside the running exporter: probe, skills, backfill; they poll nothing.

They ask under the rules of the exporter and share its attempts, its budget and its token
locks through the state directory.
"""
