"""Why a run is not stored, as errors."""

from __future__ import annotations


class NotStored(Exception):
    """The run cannot be recorded; the text says why, in words for the user."""
