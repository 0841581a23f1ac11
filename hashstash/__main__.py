"""``python -m hashstash``: the same as the command ``hashstash``."""

import os
import sys

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Python puts the current folder first: a file in it that is called like a package would be run, whoever has put it there.
if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()) and os.getcwd() != _HOME:
    del sys.path[0]

from hashstash.command_line import main  # noqa: E402 - after the line that decides where it is looked for

if __name__ == "__main__":
    sys.exit(main())
