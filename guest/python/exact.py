"""Exact decimal numbers. Money is never a float, nor a `decimal.Decimal`, which rounds.

In between, a number may have any length; what goes into an answer has the contract's: a coefficient
of at most 96 bits and a scale of at most 28, or it is refused. Digits are never dropped.
"""

import re
from functools import cache

from wit_world.exports import policy as wit

from .refusal import out_of_range

COEFFICIENT_MAX = (1 << 96) - 1
SCALE_MAX = 28
LOW_BITS = 64
LOW_MASK = (1 << LOW_BITS) - 1
PLAIN = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)


class Exact:
    """coefficient × 10^-scale; use `exact` for text."""

    __slots__ = ("coefficient", "scale")

    def __init__(self, coefficient, scale):
        self.coefficient = coefficient
        self.scale = scale

    @staticmethod
    def of_contract(number):
        coefficient = number.coefficient_high << LOW_BITS | number.coefficient_low
        return Exact(-coefficient if number.negative else coefficient, number.scale)

    def to_contract(self):
        coefficient, scale = abs(self.coefficient), self.scale
        if coefficient > COEFFICIENT_MAX or scale > SCALE_MAX:
            while scale > 0 and coefficient % 10 == 0:
                coefficient //= 10
                scale -= 1
            if coefficient > COEFFICIENT_MAX or scale > SCALE_MAX:
                raise out_of_range("a number with more digits than a decimal holds")
        return wit.Decimal(
            self.coefficient < 0, coefficient >> LOW_BITS, coefficient & LOW_MASK, scale
        )

    def __add__(self, other):
        other = exact(other)
        more = other.scale - self.scale
        if more >= 0:
            return Exact(self.coefficient * 10**more + other.coefficient, other.scale)
        return Exact(self.coefficient + other.coefficient * 10**-more, self.scale)

    def __neg__(self):
        return Exact(-self.coefficient, self.scale)

    def __sub__(self, other):
        return self + -exact(other)

    def __mul__(self, other):
        other = exact(other)
        return Exact(self.coefficient * other.coefficient, self.scale + other.scale)

    def __eq__(self, other):
        return (self - other).coefficient == 0

    def __lt__(self, other):
        return (self - other).coefficient < 0

    def __le__(self, other):
        return (self - other).coefficient <= 0

    def __gt__(self, other):
        return (self - other).coefficient > 0

    def __ge__(self, other):
        return (self - other).coefficient >= 0

    def __hash__(self):
        return hash(str(self))

    def __bool__(self):
        return self.coefficient != 0

    def __str__(self):
        digits = str(abs(self.coefficient)).rjust(self.scale + 1, "0")
        point = len(digits) - self.scale
        fraction = digits[point:].rstrip("0")
        sign = "-" if self.coefficient < 0 else ""
        return sign + digits[:point] + ("." + fraction if fraction else "")


def exact(value):
    """A number from text such as "0.25", or from a whole number."""
    if isinstance(value, Exact):
        return value
    if isinstance(value, int):
        return Exact(value, 0)
    if isinstance(value, str):
        return _of_text(value)
    raise TypeError(f'write {value} as text: "{value}"')


@cache
def _of_text(text):
    parts = PLAIN.fullmatch(text)
    if not parts:
        raise ValueError(f"`{text}` is not a number in plain notation")
    sign, whole, fraction = parts.groups(default="")
    return Exact(int(sign + whole + fraction), len(fraction))


ZERO = Exact(0, 0)
ONE = Exact(1, 0)
