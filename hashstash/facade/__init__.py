"""The parts of ``HashStash``, by what they are for; each method names the function that does the work."""

from hashstash.facade.computing import Computing
from hashstash.facade.configured import Configured
from hashstash.facade.encoded import Encodes
from hashstash.facade.keeping import Keeping
from hashstash.facade.looking import Looking

__all__ = ["Computing", "Configured", "Encodes", "Keeping", "Looking"]
