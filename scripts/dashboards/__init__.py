"""Generates the Grafana dashboards and draws previews of them; nothing is installed.

queries                         PromQL from few building blocks; pure
parts, figures                  panels of each kind; panels of several boards
overview, skill, exporter_board what stands where on each board
boards                          variables, links, annotations, and the JSON
panels.toml, spanish            texts of the panels, and all in Spanish
canvas, draw_*, picture         previews without Grafana, for the documentation
"""

from __future__ import annotations

import warnings

# The library would rather see its newer schema; the classic one is what Grafana 10 to 13 load.
warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
