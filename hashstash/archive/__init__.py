"""One file that holds stashes: to keep, to send with a notebook, to move from one engine to another."""

from hashstash.archive.imports import import_stash, import_stashes
from hashstash.archive.layout import Content, usable_name
from hashstash.archive.reader import contents
from hashstash.archive.writer import export_stashes

__all__ = ["Content", "contents", "export_stashes", "import_stash", "import_stashes", "usable_name"]
