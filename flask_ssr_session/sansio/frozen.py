"""The bases of classes whose values are set once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    # Type checkers know these without the package; typing has them since Python 3.11.
    from typing_extensions import Self, dataclass_transform

    _Values = object  # a SimpleNamespace may have any attribute
else:
    _Values = SimpleNamespace

    def dataclass_transform(**_options: bool) -> Any:
        """Do nothing."""
        return lambda base: base


@dataclass_transform(eq_default=False, frozen_default=True, kw_only_default=True)
class Immutable:
    """An object whose attributes cannot be set or deleted."""

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


class Frozen(Immutable, _Values):
    """Named values for this package's own use: a frozen dataclass whose class is cheap to make.

    Python writes and compiles the methods of a real dataclass, or of a named tuple, in every
    process: 0.1 to 0.8 ms per class, and all of them took more time than the setup of an app.

    Only type checkers check the names of the values. A class that apps use is a NamedTuple.
    """

    # Not those of SimpleNamespace: some values are secret, and some objects are keys of a cache.
    __repr__, __eq__, __hash__ = object.__repr__, object.__eq__, object.__hash__

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values."""
        return type(self)(**vars(self) | changes)
