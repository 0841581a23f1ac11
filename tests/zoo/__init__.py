"""A zoo of real objects: each file holds those of one library, written by one process and read by another.

What comes back is equal by the library's own notion, can be used, is said to be data or code truthfully, and finds its
entry again as a key and as an argument, unless this table, or the ``key`` of its case, says otherwise. What a library
makes impossible, each with a test:

=====================================================  ===============================================================
what                                                   what happens
=====================================================  ===============================================================
Pillow: ``ImageDraw``, other holders of a raw core     refused when written: "`value.im` is an ImagingCore"
Pillow: a font that was loaded from memory             reading names ``FreeTypeFont`` (it looks for a file)
requests: a connection, a raw response, a server       refused when written: "is an open file", "is a lock"
matplotlib: figures and axes as keys                   a clear error where an axis has categories (its state has an
                                                       iterator); otherwise the key of a figure that was read is not
                                                       that of the figure that was written (its own state differs)
scikit-learn: ``Bunch`` and what holds one, as a key   not found again: its ``__setstate__`` drops a part of its state
torch: tensors with a history, nested ones, and those  refused as keys and arguments: "leads to what it was computed
without memory, as keys                                from", "content cannot be read"
torch: a tensor with a gradient, as a key              not found when it was read: the gradient counts, and is not stored
pydantic: an instance of a subclass as a key           not found where its base was read before, from another entry, and
                                                       is not defined here: they share no parts of the base any more
attrs: no slots below slots                            the fields of the lower class are lost, as with pickle
generators, coroutines, locks, threads, sockets,       refused when written; the message names the path and the kind
open files, databases, cursors, event loops, frames,
weak references, run-time modules, queues, processes
=====================================================  ===============================================================
"""
