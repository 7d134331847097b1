"""Tests of the exporter, a module for each stage of the data's way."""
