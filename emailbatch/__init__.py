"""The project around the application: settings, addresses, the web server, and the local stack."""

__version__ = "0.2.0"
"""The one source of the version. pyproject.toml repeats it, and tests/unit/test_version.py compares the two."""
