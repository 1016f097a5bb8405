"""Random types: a value of the schema becomes an object, and every provider's own subset is one it accepts."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_types import TYPES, Values

from provider_kit.schema.build import to_json
from provider_kit.schema.check import compile_check
from provider_kit.schema.problems import CLOSED, readable
from provider_kit.schema.profiles import PROFILES
from provider_kit.schema.refusals import refusal_of
from provider_kit.schema.subset import subset_of
from provider_kit.schema.typed import TypeSchema

#: More of them are tried with PROVIDER_KIT_EXAMPLES=10000.
EXAMPLES = int(os.environ.get("PROVIDER_KIT_EXAMPLES", "250"))
often = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@often
@given(TYPES, st.integers(0, 2**32))
def test_a_value_of_the_schema_becomes_an_object_and_back(tp, seed):
    """What is generated from the schema alone is accepted, built, and the same when it is written and read again."""
    typed = TypeSchema(tp)
    value = Values(typed.schema, seed).make(typed.schema)
    problems: list[str] = []
    assert compile_check(typed.schema)(value, problems, CLOSED) == value
    assert not problems, readable(problems)
    made = typed.read(value)
    written = to_json(made)
    assert typed.read(written) == made
    assert type(typed.read(written)) is type(made)


@often
@given(TYPES, st.integers(0, 2**32))
def test_each_subset_is_one_that_its_provider_accepts(tp, seed):
    """The writer and the examiner of a profile share a table and no code; what the model writes by it is read back."""
    typed = TypeSchema(tp)
    text = repr(typed.schema)
    for name, profile in PROFILES.items():
        subset = subset_of(typed.schema, profile)
        if subset.reason:
            assert not subset.strict
            continue
        assert refusal_of(subset.schema, profile) is None, name
        untold = any(repr(form) in text for form in ("decimal", "base64", "path"))
        if not subset.losses and not untold:
            made = typed.read(Values(subset.schema, seed).make(subset.schema))
            assert typed.read(to_json(made)) == made, name
