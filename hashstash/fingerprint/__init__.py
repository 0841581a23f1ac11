"""What a value, a function, a class, a module or a file *is*, as a digest: the ground on which every hit stands.

A digest covers the exact content, is the same in every process and on every Python, and never depends on an address.
What cannot be hashed is *volatile*: the walk says which part and why, and the caller runs instead of guessing.
"""

from hashstash.fingerprint.files import FileFact, file_digest, folder_digest
from hashstash.fingerprint.fingerprinter import Fingerprinter, Walk, alias_signature
from hashstash.fingerprint.live import LiveFingerprint
from hashstash.fingerprint.memory import address_of
from hashstash.fingerprint.source import canonical_ast

__all__ = [
    "FileFact",
    "Fingerprinter",
    "LiveFingerprint",
    "Walk",
    "address_of",
    "alias_signature",
    "canonical_ast",
    "file_digest",
    "folder_digest",
]
