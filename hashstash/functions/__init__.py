"""Memoized functions: ``stash.run`` and ``@stashed_result``."""

from hashstash.functions.decorators import CallOptions, decorate, stashed_result
from hashstash.functions.function_stash import CacheInfo, MemoOptions, memoized

__all__ = ["CacheInfo", "CallOptions", "MemoOptions", "decorate", "memoized", "stashed_result"]
