"""The IPython extension. ``%load_ext hashstash`` adds the magics, ``%unload_ext hashstash`` takes every trace of them
away.
"""

from __future__ import annotations

from typing import Any

from hashstash.magics import completion, tracebacks
from hashstash.magics.run_hook import RunHook
from hashstash.magics.stash_cell import RUN_ASYNC, StashMagics
from hashstash.magics.stash_map_line import silence

_PART = "_hashstash_magics"


def load(shell: Any) -> None:
    """Add the magics, the transformers, and completion to the shell."""
    unload(shell)
    magics = StashMagics(shell)
    shell.register_magics(magics)
    completer = completion.Completer(magics)
    transform = magics.rewrite
    shell.input_transformers_cleanup.append(transform)
    shell.input_transformers_post.append(silence)
    completion.hook(shell, completer)
    setattr(shell, RUN_ASYNC, magics.run_async)
    running = RunHook(shell)
    running.choosers += [magics.typed_cells, magics.auto]
    setattr(shell, _PART, (magics, completer, transform, running, tracebacks.hook(shell)))


def unload(shell: Any) -> None:
    """Take away what :func:`load` added."""
    loaded = getattr(shell, _PART, None)
    if loaded is None:
        return
    magics, completer, transform, running, unhook = loaded
    unhook()
    running.remove()
    magics.auto.turn_off()
    for kind, name in (("cell", "stash"), ("line", "stash"), ("line", "stash_map")):
        shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    if transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(transform)
    if silence in shell.input_transformers_post:
        shell.input_transformers_post.remove(silence)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    completion.unhook(shell, completer)
    delattr(shell, RUN_ASYNC)
    delattr(shell, _PART)
