"""Writes a Farebox policy in Python: one function that puts its terms on a bill.

    from farebox import define_policy

    def price(bill, call, book):
        bill.markup("0.25", "a_quarter_more")

    Policy = define_policy("a-quarter-more", "1.0.0", "Cost plus a quarter.", price)

The bill begins with what the call costs at the provider by the price book; before a call, with the
most that it can cost. A policy is a pure function: no clock, no randomness, no state that shows in an
answer. The host checks every answer and computes the cost itself.
"""

from dataclasses import dataclass

from componentize_py_types import Err, Ok
from wit_world.exports import Policy as Contract
from wit_world.exports import policy as wit

from .bill import Bill, meter_of_contract, meter_to_contract
from .book import Book
from .exact import ONE, Exact, exact
from .prices import Line, cost_lines, unit_costs, worst_lines
from .refusal import not_allowed, not_priced, out_of_range, unknown_model

__all__ = [
    "define_policy", "exact", "not_allowed", "not_priced", "out_of_range", "unknown_model",
]

# Models on a page of the rate card.
PAGE_MAX = 100


@dataclass
class Pool:
    meter: str
    quantity: Exact
    attributes: list


class Call:
    """What is priced: a call that ran, or one that has not (`is_quote`)."""

    def __init__(self, asked, facts, *, is_quote=False):
        caller = facts.caller
        self.is_quote = is_quote
        self.provider = asked.provider
        if is_quote:
            self.model = asked.model
            pools, usd = asked.declared, asked.provider_cost_max_usd
            self.body_bytes = asked.body_bytes
            self.max_output_tokens = asked.max_output_tokens
        else:
            served, self.model = asked.model_served, asked.model_asked
            self.model = self.model if served is None else served
            pools, usd = asked.pools, asked.provider_cost_usd
        self.service_tier = asked.service_tier
        self.region = asked.region
        self.feature = asked.feature
        self.provider_cost_usd = None if usd is None else Exact.of_contract(usd)
        self.pools = [
            Pool(
                meter_of_contract(pool.meter),
                Exact.of_contract(pool.quantity),
                [(each.name, each.value) for each in pool.attributes or ()],
            )
            for pool in pools
        ]
        self.is_own_key = caller.key_source == wit.KeySource.OWN
        self.is_self_hosted = caller.deployment == wit.Deployment.SELF_HOSTED
        self.plan = caller.plan
        self.org = caller.org
        self.project = caller.project
        self.user = caller.user
        self.agent = caller.agent
        # Milliseconds since the Unix epoch; of a quote, when it was asked for.
        self.at_ms = facts.occurred_at_ms
        self.month_to_date_usd = Exact.of_contract(facts.month_to_date_usd)
        self._facts = {fact.name: fact.value for fact in caller.other or ()}

    def fact(self, name):
        """A further fact that the host vouches for, as text; `None` where it states none."""
        return self._facts.get(name)


def define_policy(name, version, summary, price):
    """The class that the contract asks for."""

    class Policy(Contract):
        def __init__(self, book):
            self._book = book

        @classmethod
        def load(cls, canonical_book):
            return cls(Book(bytes(canonical_book)))

        def quote(self, request):
            call = Call(request, request.facts, is_quote=True)
            lines, max_output_tokens = [], None
            if not call.is_own_key:
                lines, max_output_tokens = worst_lines(self._book, call)
            lines, total_usd = self._priced(lines, call).to_contract()
            return wit.Quote(None, lines, total_usd, max_output_tokens)

        def rate(self, request):
            return self._rate(request.event, request.facts)

        def rate_batch(self, callers, requests):
            answers = []
            for each in requests:
                facts = wit.Facts(
                    callers[each.caller], each.occurred_at_ms, each.month_to_date_usd
                )
                try:
                    answers.append(Ok(self._rate(each.event, facts)))
                except Err as refusal:
                    answers.append(Err(refusal.value))
            return answers

        def _rate(self, event, facts):
            call = Call(event, facts)
            lines = [] if call.is_own_key else cost_lines(self._book, call)
            return wit.Rating(None, *self._priced(lines, call).to_contract())

        def _priced(self, lines, call):
            bill = Bill(lines)
            price(bill, call, self._book)
            return bill

        def rate_card(self, request):
            entries = []
            limit = min(request.limit or PAGE_MAX, PAGE_MAX)
            for number in range(int(request.after or 0), self._book.model_count):
                model = self._book.model(number)
                if request.provider not in (None, model.provider):
                    continue
                if not model.name.startswith(request.model_prefix or ""):
                    continue
                if len(entries) >= limit:
                    return wit.RateCardPage(entries, str(number))
                entries.append(self._card(model, request.facts))
            return wit.RateCardPage(entries, None)

        def _card(self, model, facts):
            """What one unit sells for is what a bill of one unit comes to."""
            event = wit.UsageEvent(model.provider, model.name, None, None, None, None, [], None)
            rates = []
            for rate in unit_costs(model, facts.occurred_at_ms):
                call = Call(event, facts)
                line = Line(wit.LineKind.USAGE, rate.meter, ONE, rate.usd, None)
                bill = self._priced([] if call.is_own_key else [line], call)
                rates.append(
                    wit.RateCardRate(
                        meter_to_contract(rate.meter),
                        [wit.Attribute(each, value) for each, value in rate.attributes],
                        None, None, None,
                        bill.total_usd.to_contract(),
                        rate.usd.to_contract(),
                    )
                )
            return wit.RateCardEntry(model.provider, model.name, rates)

        def describe(self):
            return wit.Description(name, version, summary, self._book.name, self._book.as_of)

    return Policy
