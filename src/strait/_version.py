"""The one place that holds the version; reading it costs no package metadata."""

__version__ = "1.0.0.dev0"
