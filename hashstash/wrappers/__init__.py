"""Rules that look at bytes only, around any engine: ``FrontCacheWrapper(RetryWrapper(engine))``.

A wrapper inherits every method but not every promise: ``capabilities`` says which ones it keeps. ``HashStash`` uses
``read_only``; the others are for programs that put a store together themselves::

    stash = HashStash("redis://localhost:6379/0/shared")
    stash.store.engine = FrontCacheWrapper(stash.store.engine, max_age=5)
"""
