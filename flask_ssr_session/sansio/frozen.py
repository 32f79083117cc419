"""The base of classes whose values are set once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    # Type checkers know it without the package; typing has it since Python 3.11.
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_options: bool) -> Any:
        """Do nothing."""
        return lambda base: base


@dataclass_transform(eq_default=False, frozen_default=True, kw_only_default=True)
class Frozen:
    """A frozen dataclass, as type checkers see it: every value is given by its name.

    Python writes and compiles the methods of a real one in every process, which takes 0.2 to
    0.8 ms per class: all of them together took more time than the setup of an app.
    """

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values."""
        return type(self)(**vars(self) | changes)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")
