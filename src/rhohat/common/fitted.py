"""Attributes that exist only after a fit, with a clear error when they are used before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.exceptions import NotFittedError

__all__ = ["FittedAttributes"]


class FittedAttributes:
    """A class whose attributes that end in an underscore raise `NotFittedError` before a fit.

    `NotFittedError` is also an AttributeError, so that ``hasattr`` returns False. A subclass sets `_set_by_fit` to the
    name of an attribute that every fit sets.
    """

    _set_by_fit: ClassVar[str]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether the object has been fitted."""
        return self._set_by_fit in vars(self)

    if not TYPE_CHECKING:  # otherwise, type checkers would accept every attribute name

        def __getattr__(self, name: str) -> Any:
            """Raise NotFittedError or AttributeError for an attribute that does not exist."""
            if name.endswith("_") and not name.startswith("_") and not self.__sklearn_is_fitted__():
                raise NotFittedError(
                    f"This {type(self).__name__} instance is not fitted yet, and it has the attribute {name!r} only"
                    " after a fit; call fit first."
                )
            return object.__getattribute__(self, name)  # raises the original error again
