"""The canonical schema: a JSON Schema that this library made from a type, and may therefore rewrite for a provider."""

from __future__ import annotations

from typing import Any

__all__ = ["WRAPPED", "CanonicalSchema", "resolve"]

#: The property that holds a value whose own schema is not that of an object.
WRAPPED = "value"


class CanonicalSchema(dict[str, Any]):
    """A JSON Schema made from a type; a schema that a user wrote is a plain dict, and is sent as it is.

    It must not be changed. What :mod:`provider_kit.schema.subset` makes of it for a provider is kept with it.
    """

    def __init__(self, schema: dict[str, Any], *, wrapped: bool = False) -> None:
        super().__init__(schema)
        #: Whether the value is put into an object with the one property :data:`WRAPPED`.
        self.wrapped = wrapped
        #: What was compiled from it, by the name of the profile.
        self.subsets: dict[str, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (dict(self), self.wrapped)


def _unpickle(schema: dict[str, Any], wrapped: bool) -> CanonicalSchema:
    return CanonicalSchema(schema, wrapped=wrapped)


def resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    """The schema a local reference points to.

    Raises:
        KeyError: There is none.
    """
    found: Any = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            found = found[step.replace("~1", "/").replace("~0", "~")]
    return found  # type: ignore[no-any-return]  # a schema within a schema
