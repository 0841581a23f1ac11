"""What a stranger may lie in wait with: in rows, below them, in files, in archives, in cells, beside the notebook.

Everything is made by a process with another home, and met by one that does all that a user does without trusting anybody. An
*execution* is seen for real: by an audit hook, by a file that the payloads touch, by modules that they name.
"""
