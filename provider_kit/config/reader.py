"""Reads values of a document into attrs classes, and collects all problems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from attrs import define, field, has

from provider_kit.config.document import Item, is_bounded, scalar_of
from provider_kit.config.problems import Problem
from provider_kit.config.references import expand
from provider_kit.config.secret_reference import SecretReference
from provider_kit.config.typeinfo import Field, alternatives, describe, fields_of, is_callable
from provider_kit.engine.client_arguments import CALL_DEFAULTS
from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.secrets import MaskedStr
from provider_kit.wire.redaction import is_secret_header, redact

__all__ = ["MISSING", "Reader", "fetched", "in_yaml", "is_secret_path"]

T = TypeVar("T")

#: A value that could not be read; the problem was reported.
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>", "__bool__": lambda self: False})()

_LONGEST_TEXT = 100_000
#: Common abbreviations of limits and timeouts.
_SHORT_NAMES = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "rpd": "requests_per_day",
    "read": "idle",
    "firsttoken": "first_token",
}


@define
class Unbuilt:
    """An object some of whose fields are secrets that have not been fetched."""

    kind: type
    found: dict[str, Any] = field(repr=False)


def fetched(value: Any, *, fetch: bool = True) -> Any:
    """A value with its secrets fetched, or with placeholders for them."""
    if isinstance(value, SecretReference):
        return value() if fetch else MaskedStr("placeholder-0123456789")
    if isinstance(value, Unbuilt):
        return value.kind(**{name: fetched(part, fetch=fetch) for name, part in value.found.items()})
    if isinstance(value, Mapping):
        return {name: fetched(part, fetch=fetch) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(fetched(part, fetch=fetch) for part in value)
    return value


@define
class Reader:
    """One reading of one file."""

    file: str
    environ: Mapping[str, str] = field(repr=False)
    problems: list[Problem] = field(factory=list)
    #: Path to where its value comes from, for those that were set.
    origins: dict[str, str] = field(factory=dict)
    #: Whether the file itself is encrypted.
    sealed: bool = False

    def tell(
        self,
        item: Item,
        path: str,
        message: str,
        remedy: str,
        *,
        severity: Literal["error", "warning"] = "error",
        key: bool = False,
        unset_variable: bool = False,
    ) -> None:
        """Report a problem at a value, or at its key."""
        self.problems.append(
            Problem(
                message=message,
                remedy=remedy,
                file=self.file,
                line=(item.key_line or item.line) if key else item.line,
                column=(item.key_column or item.column) if key else item.column,
                path=path,
                severity=severity,
                unset_variable=unset_variable,
            )
        )

    # -------------------------------------------------------------------------------------------- values

    def read(self, item: Item, kind: Any, path: str) -> Any:
        """A value of a kind, or ``MISSING`` after a problem was reported."""
        choices = [choice for choice in alternatives(kind) if choice is not None and not is_callable(choice)]
        if isinstance(item.value, dict):
            return self._mapping(item, kind, choices, path)
        if isinstance(item.value, list):
            return self._list(item, kind, choices, path)
        return self._scalar(item, kind, choices, path)

    def _mapping(self, item: Item, kind: Any, choices: list[Any], path: str) -> Any:
        for choice in choices:
            if isinstance(choice, type) and has(choice):
                return self.read_class(item, choice, path)
            origin = get_origin(choice)
            if isinstance(origin, type) and issubclass(origin, Mapping):
                value_kind = get_args(choice)[1]
                found = {name: self.read(part, value_kind, f"{path}.{name}") for name, part in item.value.items()}
                found = {name: value for name, value in found.items() if value is not None}
                return MISSING if any(value is MISSING for value in found.values()) else found
            if choice is Any:
                return self.read_plain(item, path)
        self._wrong(item, kind, path, "a mapping")
        return MISSING

    def _list(self, item: Item, kind: Any, choices: list[Any], path: str) -> Any:
        for choice in choices:
            if get_origin(choice) in (tuple, list):
                inner = get_args(choice)[0]
                found = [self.read(part, inner, f"{path}[{number}]") for number, part in enumerate(item.value)]
                return MISSING if any(value is MISSING for value in found) else tuple(v for v in found if v is not None)
            if choice is Any:
                return self.read_plain(item, path)
        self._wrong(item, kind, path, "a list")
        return MISSING

    def read_plain(self, item: Item, path: str) -> Any:
        """Any value, with references replaced."""
        return self._plain(item, path) if self.check_bounded(item, path) else MISSING

    def check_bounded(self, item: Item, path: str) -> bool:
        """Report a value that refers to itself, or is too large by its aliases; return whether it is neither."""
        if is_bounded(item):
            return True
        self.tell(item, path, "The value refers to itself, or is too large.", "Write it out, without aliases.")
        return False

    def _plain(self, item: Item, path: str) -> Any:
        if isinstance(item.value, dict):
            return {name: self._plain(part, f"{path}.{name}") for name, part in item.value.items()}
        if isinstance(item.value, list):
            return [self._plain(part, path) for part in item.value]
        if not isinstance(item.value, str):
            return item.value
        value, from_outside = self._expand(item.value, item, path)
        return scalar_of(value) if from_outside and isinstance(value, str) else value

    def _scalar(self, item: Item, kind: Any, choices: list[Any], path: str) -> Any:
        value, from_outside = item.value, False
        if value is None:
            self.tell(
                item,
                path,
                "There is no value.",
                "Write one, or remove the line. What follows a # is a comment; a value with # needs quotes.",
                severity="warning",
                key=True,
            )
            return None
        if isinstance(value, str) and not path.endswith(".description"):
            value, from_outside = self._expand(value, item, path)
            if value is MISSING:
                return MISSING
            if isinstance(value, SecretReference):
                if (str in choices or Any in choices) and _may_be_secret(path):
                    return value
                self.tell(item, path, "A secret is not allowed here.", f"Write {describe(kind)} here, not a reference.")
                return MISSING
        self.origins.setdefault(path, f"{self.file}:{item.line}")
        for choice in choices:
            found = _fit(value, choice, lenient=from_outside)
            if found is not MISSING:
                return MaskedStr(found) if isinstance(found, str) and is_secret_path(path) else found
        self._wrong(item, kind, path, _shown(value, path, item))
        return MISSING

    def _expand(self, text: str, item: Item, path: str) -> tuple[Any, bool]:
        """The text with its references replaced, and whether it came from outside the file."""
        if len(text) > _LONGEST_TEXT:
            self.tell(item, path, "The text is too long for a setting.", "Shorten it.")
            return MISSING, False
        found = expand(text, self.environ)
        for message, remedy in found.warnings:
            self.tell(item, path, message, remedy, severity="warning")
        for message, remedy in found.errors:
            self.tell(item, path, message, remedy, unset_variable=len(found.missing) == len(found.errors))
        if found.errors:
            return MISSING, False
        if isinstance(found.value, SecretReference):
            self.origins[path] = f"{self.file}:{item.line}, {found.value.origin}"
        elif found.variables:
            self.origins[path] = f"{self.file}:{item.line}, {', '.join(found.variables)} of the environment"
        return found.value, found.value is not text

    def _wrong(self, item: Item, kind: Any, path: str, got: str) -> None:
        wanted = describe(kind)
        remedy = f"Write {wanted}."
        value = item.value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and "a text" in wanted:
            remedy = "Put it in quotes."
        elif isinstance(value, bool) and "a text" in wanted:
            remedy = "In YAML yes, no, on and off are booleans; put it in quotes."
        elif isinstance(value, str) and ("number" in wanted or "true" in wanted):
            number = value.strip().rstrip("s").strip()
            plain_number = number.replace(".", "", 1).isdigit()
            if plain_number and "number" in wanted:
                remedy = (
                    f"Write {number}, without quotes and unit (seconds)."
                    if "s" in value
                    else f"Write {number}, without quotes."
                )
            elif value.strip().lower() in ("true", "false"):
                remedy = f"Write {value.strip().lower()}, without quotes."
        elif not isinstance(value, (dict, list)) and wanted == "a list":
            remedy = "Write [a, b], or one '- item' in each line below."
        self.tell(item, path, f"This must be {wanted}, not {got}.", remedy)

    # -------------------------------------------------------------------------------------------- classes

    def read_fields(
        self, item: Item, known: Mapping[str, Field], path: str, *, also: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The known fields of a mapping; unknown ones are reported with a similar name.

        Args:
            item: The mapping.
            known: Fields by name.
            path: Its path in the document.
            also: Other spellings, and the field that each means.
        """
        found: dict[str, Any] = {}
        for name, part in item.value.items():
            if name.startswith("x-") and not path:
                continue
            one = known.get(name)
            if one is not None and part.value is None and one.means_no_limit:
                found[name] = None
                continue
            if one is None:
                self.unknown(part, f"{path}.{name}" if path else name, name, known, also or {})
                continue
            value = self.read(part, one.kind, f"{path}.{name}" if path else name)
            if value is not MISSING and not (value is None and part.value is None):
                found[name] = value
        return found

    def unknown(self, item: Item, path: str, name: str, known: Mapping[str, Any], also: Mapping[str, str]) -> None:
        """Report an unknown key, with a suggestion."""
        plain_name = name.replace("-", "").replace("_", "").lower()
        meant = also.get(plain_name) or next((one for one in known if one.replace("_", "") == plain_name), None)
        hint = f"Did you mean {meant!r}?" if meant else did_you_mean(name, known).strip()
        if name in CALL_DEFAULTS and "defaults" in known:
            hint = f"It is an argument of calls: write it below defaults, as {{{name}: …}}."
        shown = redact(name) if len(name) <= 60 else f"{redact(name[:60])}…"
        self.tell(
            item,
            path if len(path) <= 120 else "",
            f"Unknown setting {shown!r}.",
            hint or f"There are: {', '.join(sorted(known))}.",
            key=True,
        )

    def read_class(self, item: Item, kind: type[T], path: str) -> T | Any:
        """An object of an attrs class, or ``MISSING`` after problems were reported."""
        known = fields_of(cast(Any, kind))
        before = len(self.problems)
        found = self.read_fields(item, known, path, also=_SHORT_NAMES)
        for name, one in known.items():
            absent = name not in item.value or item.value[name].value is None
            if one.required and name not in found and absent:
                self.tell(item, path, f"{name} is missing.", f"Write {name}: …", key=True)
        if any(problem.severity == "error" for problem in self.problems[before:]):
            return MISSING
        return self.build(item, kind, found, path)

    def build(self, item: Item, kind: type[T], found: dict[str, Any], path: str) -> T | Any:
        """Create an object from the values read; errors of its class are reported at the field's line."""
        if not self.try_fields(item, kind, found, path):
            return MISSING
        try:
            made = kind(**{name: fetched(value, fetch=False) for name, value in found.items()})
        except ProviderKitError as error:
            self._refused(item, path, error)
            return MISSING
        if any(isinstance(value, (SecretReference, Unbuilt)) for value in found.values()):
            return Unbuilt(kind, found)
        return made

    def try_fields(self, item: Item, kind: type, found: Mapping[str, Any], path: str) -> bool:
        """Check whether the class accepts the values; each refused value is reported at its line."""
        resolved = {name: fetched(value, fetch=False) for name, value in found.items()}
        known = fields_of(cast(Any, kind))
        needed = {name: resolved[name] for name, one in known.items() if one.required and name in resolved}
        try:
            kind(**resolved)
        except ConfigError:
            good = True
        else:
            return True  # some are valid only together
        for name, value in resolved.items():
            try:
                kind(**{**needed, name: value})
            except ConfigError as error:
                good = False
                self._refused(item.value.get(name, item), f"{path}.{name}", error)
        return good

    def _refused(self, item: Item, path: str, error: ProviderKitError) -> None:
        self.tell(item, path, in_yaml(error.message), in_yaml(error.hint or "Correct the value."))


def in_yaml(text: str) -> str:
    """Rewrite a hint about Python arguments for lines of a file."""
    text = text.replace("Use None, or math.inf, for no limit.", "Write a number above 0, or .inf for no limit.")
    text = text.replace("Use None for no limit.", "Leave the line out for no limit.")
    text = re.sub(r"\b(\w+)=(True|False)\b", lambda found: f"{found[1]}: {found[2].lower()}", text)
    text = re.sub(r"\b[Pp]ass (\w+)=", lambda found: f"Write {found[1]}: ", text)
    return re.sub(r"(?<![\w:/.])(\w+)='([^']*)'", lambda found: f"{found[1]}: {found[2]}", text)


def _fit(value: Any, choice: Any, *, lenient: bool) -> Any:
    """The value converted to a type, or ``MISSING``; values from outside the file are text."""
    if choice is Any:
        return scalar_of(value) if lenient and isinstance(value, str) else value
    if get_origin(choice) is Literal:
        return value if any(value == known and type(value) is type(known) for known in get_args(choice)) else MISSING
    if choice is str:
        return value if isinstance(value, str) else MISSING
    if choice is bool:
        if lenient and isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        return value if isinstance(value, bool) else MISSING
    if isinstance(value, bool):
        return MISSING
    if choice is int:
        if lenient and isinstance(value, str):
            return _number(value, int)
        return value if isinstance(value, int) else MISSING
    if choice is float:
        if lenient and isinstance(value, str):
            return _number(value, float)
        return value if isinstance(value, (int, float)) else MISSING
    return MISSING


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(text) if len(text) < 50 else MISSING
    except ValueError:
        return MISSING


def is_secret_path(path: str) -> bool:
    """Whether the value at a path is a secret, by its name."""
    name = path.rpartition(".")[2].partition("[")[0]
    return (
        is_secret_header(name)
        and not name.endswith(("_env", "_strategy"))
        and name
        not in (
            "auth_type",
            "auth_url",
            "token_url",
            "client_auth",
            "wait_for_key",
            "max_tokens",
            "tokens_per_minute",
        )
    )


#: Settings that determine the provider, and are needed before secrets are fetched.
_OPEN = frozenset(
    {
        "type",
        "name",
        "model",
        "default_model",
        "models",
        "base_url",
        "issuer",
        "auth_url",
        "token_url",
        "auth_type",
        "api_key_env",
        "description",
        "retry",
    }
)


def _may_be_secret(path: str) -> bool:
    """Whether a value may be fetched from elsewhere later."""
    return path.startswith(("providers.", "custom.")) and path.rpartition(".")[2].partition("[")[0] not in _OPEN


def _shown(value: Any, path: str, item: Item) -> str:
    if isinstance(value, str):
        if is_secret_path(path) or len(value) > 60 or redact(value) != value:
            return "this text"
        return f"the text {value!r}"
    if isinstance(value, bool):
        return f"{str(value).lower()}" if item.text == str(value).lower() else f"{item.text} (a truth value)"
    text = "this number" if is_secret_path(path) else str(value)[:40]
    return text
