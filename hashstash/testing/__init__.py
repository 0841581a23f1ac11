"""For authors of engines, serializers and compressors: the contracts that ours fulfil, and a table of what engines promise."""

from hashstash.testing.capabilities import CapabilityRow, capabilities, capability_table

__all__ = ["CapabilityRow", "capabilities", "capability_table"]
