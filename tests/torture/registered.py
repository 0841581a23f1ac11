"""All checks, in the order in which they run."""

from __future__ import annotations

from torture.bytes_flips import FLIPS
from torture.bytes_others import OTHERS
from torture.bytes_rows import ROWS
from torture.disks import DISKS
from torture.growing import GROWING
from torture.hostile.checks import HOSTILE
from torture.hostile.outside import OUTSIDE
from torture.injection import INJECTION
from torture.interrupts import INTERRUPTS
from torture.kills import KILLS
from torture.overtaken import OVERTAKEN
from torture.permissions import PERMISSIONS
from torture.races import RACES
from torture.readings import READINGS
from torture.remote import REMOTE
from torture.report import Check
from torture.single import SINGLE
from torture.soak import SOAK
from torture.surroundings import SURROUNDINGS

CHECKS: tuple[Check, ...] = (
    *RACES,
    *OVERTAKEN,
    *KILLS,
    *INTERRUPTS,
    *SINGLE,
    *INJECTION,
    *DISKS,
    *READINGS,
    *SURROUNDINGS,
    *GROWING,
    *REMOTE,
    *FLIPS,
    *ROWS,
    *OTHERS,
    *HOSTILE,
    *OUTSIDE,
    *PERMISSIONS,
    *SOAK,
)
