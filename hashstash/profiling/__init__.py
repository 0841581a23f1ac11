"""What settings cost: the same values through every engine, serializer and encoding, as a frame and as figures.

``samples`` are the values, ``grid`` the settings, ``place`` where their stashes lie, ``measure`` the clock; ``pandas`` has the
frame that comes of it, ``plots`` the figures.
"""

from hashstash.profiling.measure import profile

__all__ = ["profile"]
