"""Why there is no price. A refusal is an answer: the host reports it to the caller, and charges
nothing. Any other error that is raised is a fault of the policy."""

from componentize_py_types import Err
from wit_world.exports import policy as wit


def unknown_model(provider, model):
    """The book has no such model."""
    return Err(wit.Refusal_UnknownModel(wit.UnknownModel(provider, model)))


def not_priced(model, meter):
    """The model is known, but a meter that was used has no rate."""
    return Err(wit.Refusal_NotPriced(wit.NotPriced(model, meter)))


def not_allowed(rule):
    """The rules forbid the call; the text names the rule."""
    return Err(wit.Refusal_NotAllowed(rule))


def out_of_range(what):
    """A quantity or result is out of range; the text says what."""
    return Err(wit.Refusal_OutOfRange(what))
