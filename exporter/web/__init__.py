"""Who may read it: the HTTP server and its routes; no polling, no API call."""
