"""The lines of one answer. Every line is a quantity times a unit price, exactly, and the total is the
sum of the lines: the host checks both."""

from wit_world.exports import policy as wit

from .exact import ONE, ZERO, exact
from .prices import Line
from .refusal import out_of_range

# The most that a line or a total may be, either side of zero, in USD.
AMOUNT_MAX_USD = exact(1_000_000_000)

NAMED = {
    "input": wit.Meter_Input, "cache_read": wit.Meter_CacheRead,
    "cache_write_5m": wit.Meter_CacheWrite5m, "cache_write_1h": wit.Meter_CacheWrite1h,
    "output": wit.Meter_Output, "reasoning": wit.Meter_Reasoning,
    "input_audio": wit.Meter_InputAudio, "output_audio": wit.Meter_OutputAudio,
    "input_image": wit.Meter_InputImage, "output_image": wit.Meter_OutputImage,
    "input_video": wit.Meter_InputVideo, "request": wit.Meter_Request,
    "search": wit.Meter_Search, "tool_call": wit.Meter_ToolCall, "second": wit.Meter_Second,
    "character": wit.Meter_Character, "page": wit.Meter_Page, "image": wit.Meter_Image,
}
NAMES = {kind: name for name, kind in NAMED.items()}


def meter_to_contract(name):
    named = NAMED.get(name)
    return named() if named else wit.Meter_Other(name)


def meter_of_contract(meter):
    return NAMES.get(type(meter)) or meter.value


class Bill:
    """Lines, beginning with what the call costs."""

    def __init__(self, lines):
        self._lines = lines
        # The sum of the lines so far.
        self.total_usd = sum((line.amount_usd for line in lines), ZERO)
        # What the provider takes for the call, by the book; zero on the customer's own key.
        self.cost_usd = self.total_usd

    def markup(self, share, why, **parameters):
        """Adds `share` of the total so far: "0.25" adds 25 %. With parameters, `why` is the code of
        a reason of the policy's own."""
        reason = custom(why, parameters) if parameters else wit.Reason_Markup(why)
        self._add(wit.LineKind.MARKUP, self.total_usd, share, reason)

    def discount(self, share, why, **parameters):
        """Takes `share` of the total so far away."""
        reason = custom(why, parameters) if parameters else wit.Reason_Discount(why)
        self._add(wit.LineKind.DISCOUNT, self.total_usd, -exact(share), reason)

    def platform_fee(self, usd):
        """A fixed fee in USD for a call on the customer's own key."""
        self._add(wit.LineKind.PLATFORM_FEE, ONE, usd, wit.Reason_PlatformFeeFixed())

    def at_least(self, usd, why, **parameters):
        """Lifts the total to `usd` where it is below."""
        missing = exact(usd) - self.total_usd
        if missing > ZERO:
            reason = custom(why, parameters) if parameters else wit.Reason_Minimum(why)
            self._add(wit.LineKind.MINIMUM, ONE, missing, reason)

    def _add(self, kind, quantity, unit_price_usd, reason):
        line = Line(kind, None, quantity, exact(unit_price_usd), reason)
        if line.amount_usd:
            self._lines.append(line)
            self.total_usd = self.total_usd + line.amount_usd

    def to_contract(self):
        """Lines and total as the contract has them."""
        lines = [
            wit.Line(
                line.kind,
                None if line.meter is None else meter_to_contract(line.meter),
                line.quantity.to_contract(),
                line.unit_price_usd.to_contract(),
                _amount_to_contract(line.amount_usd, "amount of a line"),
                line.reason,
            )
            for line in self._lines
        ]
        return lines, _amount_to_contract(self.total_usd, "total")


def _amount_to_contract(usd, what):
    if usd > AMOUNT_MAX_USD or -usd > AMOUNT_MAX_USD:
        raise out_of_range(what)
    return usd.to_contract()


def custom(code, parameters):
    """A reason of the policy's own: a code in snake case, and what a text for a person needs."""
    named = [wit.Attribute(name, str(value)) for name, value in sorted(parameters.items())]
    return wit.Reason_Custom(wit.CustomReason(code, named))
