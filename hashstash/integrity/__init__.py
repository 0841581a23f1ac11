"""Is everything that is stored still what was written? Looking changes nothing; mending moves aside and deletes nothing.

A row is sound if its checksum, its address, its signature and its codec are, and its blob file if it has one. Values are not
decoded. One row, and one piece of a blob file, is in memory at a time.
"""

from hashstash.integrity.aside import Aside, kept_aside, remove_aside
from hashstash.integrity.checking import check
from hashstash.integrity.mending import rebuild, repair
from hashstash.integrity.report import Problem, Repairs, Report

__all__ = ["Aside", "Problem", "Repairs", "Report", "check", "kept_aside", "rebuild", "remove_aside", "repair"]
