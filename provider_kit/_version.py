"""The version, in one place and literal, so that a build needs to import nothing."""

__version__ = "0.1.0"
