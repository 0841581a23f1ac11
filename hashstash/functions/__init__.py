"""Memoized functions: ``stash.run`` and ``@stashed_result``."""

from hashstash.functions.decorators import CallOptions, decorate, stashed_result
from hashstash.functions.explain import Explanation
from hashstash.functions.function_stash import CacheInfo, memo_of, memoized
from hashstash.functions.options import MemoOptions

__all__ = [
    "CacheInfo",
    "CallOptions",
    "Explanation",
    "MemoOptions",
    "decorate",
    "memo_of",
    "memoized",
    "stashed_result",
]
