"""Finds the difference of two sets in fixed memory.

One set is added, the other is subtracted: common elements cancel out, and the difference can be decoded. The size of
the sets is not limited; only the number of differences that can be decoded is.

It is an invertible Bloom lookup table: Goodrich and Mitzenmacher, Invertible Bloom Lookup Tables (2011),
https://arxiv.org/abs/1101.2245; used for this by Eppstein, Goodrich, Uyeda and Varghese, What's the Difference? (2011).
"""

import hashlib
from collections.abc import Iterable, Mapping

_PARTS = 3
# Cells in each of the parts. With three parts, up to 0.81 differences per cell can be decoded (the threshold in the
# paper): about 19,000.
_CELLS = 8_192

_KEY_BYTES, _CHECK_BYTES = 16, 8
_CHECK_BITS = 8 * _CHECK_BYTES

Cell = tuple[int, int]  # the number of elements, and the XOR of their keys, each with its check
_EMPTY: Cell = (0, 0)


def key(name: str) -> int:
    """The key of a text: 128 bits of its hash."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_KEY_BYTES).digest())


class Sketch:
    """The difference of two sets of texts. `cells` are its cells by number, without the empty ones.

    Sketches of parts of the sets can be made anywhere and merged in any order.
    """

    def __init__(self, cells: Mapping[int, Cell] | None = None) -> None:
        self.cells = dict(cells or {})

    def add(self, names: Iterable[str]) -> None:
        """Add texts of the first set."""
        self._put(map(key, names), 1)

    def subtract(self, names: Iterable[str]) -> None:
        """Subtract texts of the second set."""
        self._put(map(key, names), -1)

    def merge(self, other: "Sketch") -> None:
        """Add the difference of other parts of the two sets."""
        for number, (count, sum_) in other.cells.items():
            self._change(number, count, sum_)

    def difference(self) -> tuple[set[int], set[int], bool]:
        """The keys that only the first set has, those that only the second set has, and whether these are all.

        A text that one set had several times is returned once.
        """
        first: set[int] = set()
        second: set[int] = set()
        rest = Sketch(self.cells)
        waiting = list(rest.cells)
        while waiting:
            count, sum_ = rest.cells.get(waiting.pop(), _EMPTY)
            found = sum_ >> _CHECK_BITS
            if count not in {1, -1} or sum_ != _checked(found):
                continue
            (first if count == 1 else second).add(found)
            rest._put([found], -count)
            waiting.extend(_cells(found))
        return first, second, not rest.cells

    def _put(self, keys: Iterable[int], count: int) -> None:
        for each in keys:
            checked = _checked(each)
            for number in _cells(each):
                self._change(number, count, checked)

    def _change(self, number: int, count: int, sum_: int) -> None:
        before = self.cells.get(number, _EMPTY)
        after = before[0] + count, before[1] ^ sum_
        if after == _EMPTY:
            self.cells.pop(number, None)
        else:
            self.cells[number] = after


def _checked(each: int) -> int:
    """The key with its check."""
    digest = hashlib.blake2b(each.to_bytes(_KEY_BYTES), digest_size=_CHECK_BYTES, person=b"check").digest()
    return each << _CHECK_BITS | int.from_bytes(digest)


def _cells(each: int) -> tuple[int, int, int]:
    """Its cell in each part: 42 bits of the key for each, far more than a part has cells."""
    return tuple(part * _CELLS + (each >> (42 * part)) % _CELLS for part in range(_PARTS))  # type: ignore[return-value]
