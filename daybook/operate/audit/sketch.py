"""Finds the difference of two sets in fixed memory.

One set is added, the other is subtracted: common elements cancel out, and the difference can be decoded. The size of
the sets is not limited; only the number of differences that can be decoded is.

It is an invertible Bloom lookup table: Goodrich and Mitzenmacher, Invertible Bloom Lookup Tables (2011),
https://arxiv.org/abs/1101.2245; used for this by Eppstein, Goodrich, Uyeda and Varghese, What's the Difference? (2011).
"""

import hashlib
from collections.abc import Iterable
from threading import Lock

_PARTS = 3
# Cells in each of the parts. With three parts, up to 0.81 differences per cell can be decoded (the threshold in the
# paper): about 19,000.
_CELLS = 8_192

_KEY_BYTES, _CHECK_BYTES = 16, 8


def key(name: str) -> int:
    """The key of a text: 128 bits of its hash."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_KEY_BYTES).digest())


class Sketch:
    """The difference of two sets of texts. It can be used by several threads."""

    def __init__(self) -> None:
        self._counts = [0] * (_PARTS * _CELLS)
        self._keys = [0] * (_PARTS * _CELLS)
        self._checks = [0] * (_PARTS * _CELLS)
        self._lock = Lock()

    def add(self, names: Iterable[str]) -> None:
        """Add texts of the first set."""
        self._put([key(name) for name in names], 1)

    def subtract(self, names: Iterable[str]) -> None:
        """Subtract texts of the second set."""
        self._put([key(name) for name in names], -1)

    def difference(self) -> tuple[set[int], set[int], bool]:
        """The keys that only the first set has, those that only the second set has, and whether these are all.

        Empties the sketch. A text that one set had several times is returned once.
        """
        first: set[int] = set()
        second: set[int] = set()
        waiting = list(range(len(self._counts)))
        while waiting:
            cell = waiting.pop()
            count, found = self._counts[cell], self._keys[cell]
            if count not in {1, -1} or self._checks[cell] != _check(found):
                continue
            (first if count == 1 else second).add(found)
            self._put([found], -count)
            waiting.extend(_cells(found))
        return first, second, not any(self._counts) and not any(self._keys)

    def _put(self, keys: Iterable[int], count: int) -> None:
        with self._lock:
            for each in keys:
                check = _check(each)
                for cell in _cells(each):
                    self._counts[cell] += count
                    self._keys[cell] ^= each
                    self._checks[cell] ^= check


def _check(each: int) -> int:
    digest = hashlib.blake2b(each.to_bytes(_KEY_BYTES), digest_size=_CHECK_BYTES, person=b"check").digest()
    return int.from_bytes(digest)


def _cells(each: int) -> tuple[int, int, int]:
    """Its cell in each part: 42 bits of the key for each, far more than a part has cells."""
    return tuple(part * _CELLS + (each >> (42 * part)) % _CELLS for part in range(_PARTS))  # type: ignore[return-value]
