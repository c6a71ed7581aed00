"""Attributes that a fit sets: before it, asking for one says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.exceptions import NotFittedError

__all__ = ["FittedAttributes"]


class FittedAttributes:
    """Has attributes that end in an underscore after a fit only; before it, they raise `NotFittedError`.

    That is an AttributeError too, so ``hasattr`` is False. A subclass names one attribute that every fit sets.
    """

    _set_by_fit: ClassVar[str]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there was a fit."""
        return self._set_by_fit in vars(self)

    if not TYPE_CHECKING:  # else every attribute would be known

        def __getattr__(self, name: str) -> Any:
            """Raise what suits an attribute that is not there."""
            if name.endswith("_") and not name.startswith("_") and not self.__sklearn_is_fitted__():
                raise NotFittedError(
                    f"This {type(self).__name__} instance is not fitted yet, and has {name!r} after a fit only; call"
                    " fit first."
                )
            return object.__getattribute__(self, name)  # again, for the reason that it has given
