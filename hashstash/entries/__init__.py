"""Entries as a whole: what is known of each without decoding its value, finding them, removing them, taking them elsewhere."""

from hashstash.entries.collection import Entries
from hashstash.entries.copying import copy_entries, pairs_to_copy
from hashstash.entries.info import EntryInfo, describe, info_of
from hashstash.entries.pruning import prune, touch

__all__ = ["Entries", "EntryInfo", "copy_entries", "describe", "info_of", "pairs_to_copy", "prune", "touch"]
