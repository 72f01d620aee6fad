"""Sequences that are made when somebody looks at them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

__all__ = ["Later"]

_Item = TypeVar("_Item")


class Later(Sequence[_Item]):
    """A sequence that is made when it is first looked at, and kept from then on.

    It equals any sequence of equal items, and is a list in another process.

    Args:
        make: What makes it.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Sequence[_Item]]) -> None:
        self._make = make
        self._made: Sequence[_Item] | None = None

    @overload
    def __getitem__(self, place: int) -> _Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[_Item]: ...
    def __getitem__(self, place: int | slice) -> _Item | Sequence[_Item]:
        return self._items()[place]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return list(self._items()) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._items())

    def __reduce__(self) -> tuple[type[list[_Item]], tuple[list[_Item]]]:
        return list, (list(self._items()),)

    def _items(self) -> Sequence[_Item]:
        if self._made is None:
            self._made = self._make()
        return self._made
