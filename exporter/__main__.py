"""`python -m exporter`: the same as the command wolkvox-exporter."""

from exporter.cli import main

if __name__ == "__main__":
    main()
