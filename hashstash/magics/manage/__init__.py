"""``%stash``: what is stored, why a cell ran; taking out, removing, trusting, sharing; settings.

Each command is a line in :data:`COMMANDS`: how it is written, and the function that carries it out. What these functions do
beyond reading the line is in :mod:`hashstash.cells.stashes`, for any program.
"""

from hashstash.magics.manage.line import COMMANDS, command, overview

__all__ = ["COMMANDS", "command", "overview"]
