"""A mapping whose values are read from files when they are asked for, so that not all of them are in memory."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class OnDemand(Mapping[Key, Value]):
    """Key -> `read(key)`, which is called each time that the value of a key is asked for; none is kept."""

    def __init__(self, keys: Iterable[Key], read: Callable[[Key], Value]) -> None:
        self._keys, self._read = dict.fromkeys(keys), read

    def __getitem__(self, key: Key) -> Value:
        if key not in self._keys:
            raise KeyError(key)
        return self._read(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
