"""How fast HashStash is beside raw LMDB, diskcache and joblib: ``python -m benchmarks``."""
