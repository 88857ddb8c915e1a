"""Seeds from a unit's own address: no number depends on order or on the cut into jobs."""

import hashlib


def derive_seed(master: int, *address: str | int) -> int:
    """The seed of the unit at `address`: ``derive_seed(2022, "mlp_mnist", "batch", 5, 256, 3)``.

    SHA-256 of the master seed and the address, each part with its type and length, so that
    ``("a", "bc")`` and ``("ab", "c")``, or ``1`` and ``"1"``, differ. Returns an integer in
    [0, 2**63), which numpy's and torch's generators both take.
    """
    digest = hashlib.sha256()
    for part in (master, *address):
        if isinstance(part, bool) or not isinstance(part, int | str):
            raise TypeError(f"an address holds integers and strings, not {part!r}")
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1
