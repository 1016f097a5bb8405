"""Functions as tools: what the model is told of them, and what they are called with."""

import dataclasses
import datetime
import functools
import typing
import weakref

import attrs
import pytest

from provider_kit import FunctionTool, InvalidRequestError, Tool, ToolCall, ToolContext, tool
from provider_kit.schema.typed import SchemaError
from provider_kit.tools.function import tools_of


def weather(city: str, days: int = 1, *, unit: typing.Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    Longer words.

    Args:
        city: Name of the city.
        days: How many
            days.
    """
    return f"{city} {days} {unit}"


def test_a_function_tells_its_name_description_and_arguments():
    """From its signature and its docstring."""
    made = tool(weather)
    assert made.name == "weather"
    assert made.description == "Tell the weather.\n\nLonger words."
    assert made.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city."},
            "days": {"type": "integer", "description": "How many days.", "default": 1},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_tool_can_still_be_called():
    """And the decorator takes arguments."""

    @tool(name="forecast", description="Look ahead.", requires_approval=True, timeout=3, strict=True)
    def look(city: str) -> str:
        return city

    assert look("Paris") == "Paris"
    assert (look.name, look.description, look.strict, look.timeout) == ("forecast", "Look ahead.", True, 3)
    assert look.requires_approval is True


class Shop:
    def __init__(self, name):
        self.name = name

    def buy(self, count: int) -> str:
        """Buy."""
        return f"{self.name} {count}"

    @staticmethod
    def close() -> str:
        """Close."""
        return "closed"

    @classmethod
    def make(cls, name: str) -> str:
        """Make."""
        return f"{cls.__name__} {name}"

    def __call__(self, word: str) -> str:
        """Say."""
        return f"{self.name} {word}"


@pytest.mark.parametrize(
    ("value", "name", "arguments", "result"),
    [
        (Shop("x").buy, "buy", {"count": 2}, "x 2"),
        (Shop.close, "close", {}, "closed"),
        (Shop.make, "make", {"name": "y"}, "Shop y"),
        (Shop("z"), "Shop", {"word": "hi"}, "z hi"),
        (functools.partial(weather, days=3), "weather", {"city": "Rome"}, "Rome 3 C"),
    ],
    ids=["method", "static method", "class method", "object", "partial"],
)
def test_whatever_can_be_called_is_a_tool(value, name, arguments, result):
    """Bound methods, static and class methods, objects, partials."""
    (made,) = tools_of([value])
    assert made.name == name
    assert "self" not in made.parameters["properties"]
    call = ToolCall("1", name, arguments)
    assert made.invoke(made.read_arguments(call), None) == result


def test_the_context_is_not_shown_to_the_model():
    """It is found by its annotation, whatever its name."""

    def find(number: int, circumstances: ToolContext[str]) -> str:
        """Find."""
        return f"{circumstances.deps} {number}"

    made = tool(find)
    assert made.parameters["properties"].keys() == {"number"}
    assert made.wants_context


def test_positional_only_arguments_and_rest():
    """The first are passed by position, ``**rest`` is left alone."""

    def add(a: int, b: int = 2, /, **rest: int) -> int:
        """Add."""
        return a + b

    made = tool(add)
    assert made.invoke(made.read_arguments(ToolCall("1", "add", {"a": 1})), None) == 3
    assert made.invoke(made.read_arguments(ToolCall("1", "add", {"b": 5, "a": 1})), None) == 6

    def scale(a: int = 1, b: int = 2, /) -> int:
        """Scale."""
        return a * b

    made = tool(scale)
    assert made.invoke(made.read_arguments(ToolCall("1", "scale", {"b": 5})), None) == 5
    assert made.invoke(made.read_arguments(ToolCall("1", "scale", {})), None) == 2


def test_what_a_partial_has_bound_is_not_the_models_to_give():
    """Neither shown nor taken; the description is that of the function."""

    def send(text: str, sender: str = "nobody") -> str:
        """Send a text."""
        return f"{sender}: {text}"

    made = tool(functools.partial(send, sender="Ada"), name="send")
    assert made.parameters["properties"].keys() == {"text"}
    assert made.description == "Send a text."
    assert made.invoke(made.read_arguments(ToolCall("1", "send", {"text": "hi"})), None) == "Ada: hi"
    with pytest.raises(SchemaError, match="there is no argument 'sender'"):
        made.read_arguments(ToolCall("1", "send", {"text": "hi", "sender": "Eve"}))


@attrs.define
class Trip:
    to: str
    on: datetime.date


def test_arguments_are_objects_of_their_types():
    """Made by their classes, dates and all."""

    def book(trip: Trip, seats: list[int]) -> str:
        """Book."""
        return f"{trip!r} {seats}"

    made = tool(book)
    call = ToolCall("1", "book", '{"trip": {"to": "Rome", "on": "2026-01-31"}, "seats": "[1, 2]",}')
    assert made.read_arguments(call) == {"trip": Trip("Rome", datetime.date(2026, 1, 31)), "seats": [1, 2]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"city": 1.5}', None),
        ("{'city': 'Rome'}", None),
        ('"{\\"city\\": \\"Rome\\"}"', None),
        ("", "city: is missing"),
        ("not json", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"town": "Rome"}', "there is no argument 'town'"),
        ('{"city": "Rome", "days": "many"}', "days: must be a whole number"),
        ('{"city": "Rome", "unit": "K"}', 'unit: must be one of "C", "F"'),
        ('{"city": "Rome', "not valid JSON"),
    ],
)
def test_arguments_are_repaired_corrected_and_checked(arguments, said):
    """What cannot be is told in words for the model."""
    made = tool(weather)
    call = ToolCall("1", "weather", arguments)
    if said is None:
        assert set(made.read_arguments(call)) == {"city"}
        return
    with pytest.raises(SchemaError, match=said):
        made.read_arguments(call)


def test_null_means_the_default():
    """Providers that demand every property write it."""
    assert tool(weather).read_arguments(ToolCall("1", "weather", {"city": "Rome", "days": None})) == {"city": "Rome"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda x: x, "lambda"),
        (Trip, "is a class"),
        (lambda *args: args, "lambda"),
        (3, "must be a function, a Tool or a dict"),
        (None, "must be a function, a Tool or a dict"),
    ],
)
def test_what_is_no_tool_is_refused(value, said):
    """With what to write instead."""
    with pytest.raises(InvalidRequestError, match=said) as caught:
        tools_of([value])
    assert caught.value.hint


def test_a_parameter_without_a_schema_is_named():
    """When the tool is made, not when it is called."""

    def bad(x: complex) -> None:
        """Bad."""

    def variable(*args: int) -> None:
        """Bad."""

    with pytest.raises(InvalidRequestError, match=r"bad\(\)\.x"):
        tool(bad)
    with pytest.raises(InvalidRequestError, match=r"\*args"):
        tool(variable)
    with pytest.raises(InvalidRequestError, match="timeout"):
        tool(timeout=-1)
    with pytest.raises(InvalidRequestError, match="requires_approval"):
        tool(requires_approval="yes")


def test_a_lambda_with_a_name_is_a_tool():
    """Its parameters may be anything."""
    made = tool(name="double")(lambda x: x * 2)
    assert isinstance(made, FunctionTool)
    assert made.invoke(made.read_arguments(ToolCall("1", "double", {"x": 4})), None) == 8


def test_a_function_is_read_once_and_not_kept():
    """The second time costs nothing, and a function made at run time is freed."""

    def make():
        def inner(x: int) -> int:
            """Inner."""
            return x

        return inner

    function = make()
    assert tool(function).parameters is tool(function).parameters
    reference = weakref.ref(function)
    del function
    assert reference() is None


def test_tools_of_all_forms_in_one_list():
    """Functions, tools, dicts of two providers."""
    made = tools_of(
        [weather, Tool("a"), {"type": "function", "function": {"name": "b"}}, {"name": "c", "input_schema": {}}]
    )
    assert [one.name for one in made] == ["weather", "a", "b", "c"]
    with pytest.raises(InvalidRequestError, match="must be a list"):
        tools_of("weather")
    assert [one.name for one in tools_of(weather)] == ["weather"]


@dataclasses.dataclass
class Money:
    amount: float

    def __post_init__(self):
        if self.amount < 0:
            raise ValueError("secret words of the program")


def test_the_text_of_a_classs_exception_is_not_told():
    """Only its name: it may hold anything."""

    def pay(money: Money) -> str:
        """Pay."""
        return "paid"

    with pytest.raises(SchemaError, match=r"money: was refused \(ValueError\)") as caught:
        tool(pay).read_arguments(ToolCall("1", "pay", {"money": {"amount": -1}}))
    assert "secret" not in str(caught.value)
    assert "secret" in str(caught.value.cause)


class Clinic:
    def __init__(self, name):
        self.name = name

    @tool(requires_approval=True)
    def visit(self, day: str) -> str:
        """Visit."""
        return f"{self.name} {day}"


def test_the_decorator_above_a_method():
    """The tool of an instance has its instance; that of the class is no tool."""
    made = Clinic("x").visit
    assert made("Monday") == "x Monday"
    assert made.parameters["properties"].keys() == {"day"}
    assert made.requires_approval is True
    assert tools_of([made])[0].invoke({"day": "Friday"}, None) == "x Friday"
    for unbound in (Clinic.visit, Shop.buy):
        with pytest.raises(InvalidRequestError, match="method without its instance"):
            tools_of([unbound])


def test_a_context_may_be_optional():
    """And is still not shown to the model."""

    def look(context: ToolContext[int] | None = None) -> str:
        """Look."""
        return "x"

    assert tool(look).parameters["properties"] == {}


def test_a_rule_of_approval_sees_defaults_and_is_safe():
    """What it raises is no permission; it cannot be awaited."""

    @tool(requires_approval=lambda arguments: arguments["amount"] > 100)
    def pay(amount: float = 3) -> str:
        """Pay."""
        return "paid"

    @tool(requires_approval=lambda arguments: arguments["nothing"] > 100)
    def broken(amount: float = 3) -> str:
        """Pay."""
        return "paid"

    assert not pay.needs_approval({})
    assert pay.needs_approval({"amount": 500})
    assert broken.needs_approval({})

    async def rule(arguments):
        return True

    with pytest.raises(InvalidRequestError, match="plain function"):
        tool(requires_approval=rule)


def test_a_call_instead_of_a_function_is_told():
    """The likeliest mistake."""
    with pytest.raises(InvalidRequestError) as caught:
        tools_of([weather("Rome")])
    assert "without a call" in caught.value.hint
