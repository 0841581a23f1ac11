"""Functions of a user with nothing wrong about them, whose source is looked into while the canary listens."""


def f(x: int) -> int:
    return x + 1


def later(x: int) -> int:
    return x * 7
