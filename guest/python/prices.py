"""What a call costs at the provider, by the book: the lines of an event, and the dearest lines that a
call can have which has not run yet. The same rules as the host's own, which checks the sum: no price
may be below it."""

from dataclasses import dataclass

from wit_world.exports import policy as wit

from .exact import ONE, ZERO, Exact, exact
from .refusal import not_priced, out_of_range, unknown_model

WEEK_MINUTES = 10_080
EPOCH_MINUTE = 3 * 24 * 60
MINUTE_MS = 60_000

TEXT = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
MEDIA = ("input_audio", "input_image", "input_video")
OUTPUT = ("output", "reasoning")


@dataclass
class Line:
    """A line of a bill; of a line of usage, its meter."""

    kind: wit.LineKind
    meter: str | None
    quantity: Exact
    unit_price_usd: Exact
    reason: wit.Reason

    def __post_init__(self):
        self.amount_usd = self.quantity * self.unit_price_usd


def cost_lines(book, call):
    """The lines of what a call used, at the provider's rates."""
    if call.provider_cost_usd is not None:
        return [provider_cost(call.provider_cost_usd)]
    prices = Prices(book, call)
    lines = [prices.line(pool) for pool in call.pools if pool.quantity]
    if all(pool.meter != "request" for pool in call.pools):
        fee = prices.direct("request", [])
        if fee:
            lines.append(prices.line_of("request", ONE, *fee, None))
        elif not call.pools:
            raise prices.not_priced("request")
    return lines


def worst_lines(book, call):
    """The lines of the most that a call can cost, and the output tokens that this assumes."""
    prices = Prices(book, call)
    text = exact(call.body_bytes) + total(call.pools, TEXT)
    prices.prompt_tokens = text + total(call.pools, MEDIA)
    lines = []

    def add(meters, quantity, attributes=()):
        dearest = prices.dearest(meters, attributes)
        if dearest:
            _, meter, table, rate, fallback = dearest
            lines.append(prices.line_of(meter, quantity, table, rate, fallback))
        return dearest is not None

    add(TEXT, text)
    max_output_tokens = call.max_output_tokens
    if max_output_tokens is None:
        max_output_tokens = prices.model.max_output_tokens
    if max_output_tokens is None:
        max_output_tokens = book.max_output_tokens
    if not add(OUTPUT, exact(max_output_tokens) + total(call.pools, OUTPUT)):
        max_output_tokens = None
    declared = {pool.meter for pool in call.pools}
    if "character" not in declared:
        add(["character"], exact(call.body_bytes))
    for pool in call.pools:
        if pool.meter in TEXT or pool.meter in OUTPUT:
            continue
        is_request = pool.meter == "request"
        units = max(pool.quantity, ONE) if is_request else pool.quantity
        if units and not add([pool.meter], units, pool.attributes) and not is_request:
            raise prices.not_priced(pool.meter)
    if "request" not in declared:
        fee = prices.dearest_direct("request", (), None)
        if fee:
            lines.append(prices.line_of("request", ONE, *fee[2:]))
    if not lines:
        raise prices.not_priced("input")
    vouched = call.provider_cost_usd
    if vouched is not None and vouched > sum((line.amount_usd for line in lines), ZERO):
        lines = [provider_cost(vouched)]
    return lines, max_output_tokens


def unit_costs(model, at_ms):
    """What one unit of each standard rate of a model costs."""
    period = period_at(model, at_ms, at_ms)
    return period.tables[0].rates if period else []


class Prices:
    """The prices of one model under the conditions of one call."""

    def __init__(self, book, call):
        self.book = book
        model = call.model
        self.model = None if model is None else book.find(call.provider, model)
        if self.model is None:
            raise unknown_model(call.provider, model or "")
        period = period_at(self.model, call.at_ms, known_at(self.model, call))
        if period is None:
            raise self.not_priced("the time of the call")
        if self.model.context_marginal:
            raise self.not_priced("a marginal context")
        self.tables = period.tables
        self.is_quote = call.is_quote
        self.region = call.region
        self.minute = (call.at_ms // MINUTE_MS + EPOCH_MINUTE) % WEEK_MINUTES
        has_context = any(table.context_above is not None for table in self.tables)
        self.prompt_tokens = total(call.pools, TEXT + MEDIA) if has_context else ZERO
        self._take_tier(call.service_tier)
        self.holding = [] if call.is_quote else [t for t in self.tables if self._holds(t)][::-1]

    def _take_tier(self, asked):
        """The tier whose tables hold, or the factor of one that has none."""
        # A table of a region is a tier's only there.
        tiers = {
            table.tier
            for table in self.tables
            if table.region is None or is_in(self.region, table.region)
        }
        self.any_tier = self.is_quote and asked in (None, "auto")
        self.tier = None if asked in (None, "", "default", "standard") else asked
        self.tier_factor = None
        if self.is_quote:
            dearer = [
                (tier, factor)
                for tier, factor in self.book.tier_fallbacks
                if (self.any_tier or tier == self.tier) and tier not in tiers and factor > ONE
            ]
            self.tier_factor = max(dearer, key=lambda each: each[1], default=None)
        elif self.tier is not None and self.tier not in tiers:
            fallbacks = (each for each in self.book.tier_fallbacks if each[0] == self.tier)
            self.tier_factor = next(fallbacks, None)
            if self.tier_factor is None:
                raise self.not_priced(f"service tier {self.tier}")
            self.tier = None

    def not_priced(self, meter):
        return not_priced(self.model.name, meter)

    def line(self, pool):
        found, fallback = self._rate(pool.meter, pool.attributes)
        if not found:
            raise self.not_priced(pool.meter)
        return self.line_of(pool.meter, pool.quantity, *found, fallback)

    def line_of(self, meter, quantity, table, rate, fallback):
        tier = self.tier_factor if table.tier is None else None
        rules = []
        if tier:
            rules.append(f"tier:{tier[0]}")
        if fallback:
            rules.append(fallback.name or f"{meter}_as_{fallback.base}")
        conditions = []
        if table.hours:
            conditions.append(wit.Attribute("hours", table.hours[0]))
        if table.region is not None:
            conditions.append(wit.Attribute("region", table.region))
        reason = wit.RateReason(
            self.model.name, table.tier, table.context_above, "/".join(rules) or None, conditions
        )
        usd = self._unit_price(rate, fallback, tier)
        return Line(wit.LineKind.USAGE, meter, quantity, usd, wit.Reason_Rate(reason))

    @staticmethod
    def _unit_price(rate, fallback, tier):
        usd = rate.usd
        if fallback:
            usd = usd * fallback.factor
        if tier:
            usd = usd * tier[1]
        return usd

    def _rate(self, meter, attributes):
        """The rate of a pool, or of what stands in for its meter."""
        if self.tier is None:
            found = self.direct(meter, attributes)
            if found:
                return found, None
        fallbacks = [each for each in self.book.meter_fallbacks if each.meter == meter]
        of_tier = [each for each in fallbacks if each.tier and each.tier == self.tier]
        if of_tier:
            found = self.direct(meter, attributes, self.tier)
            if found:
                return found, None
            for fallback in of_tier:
                found = self.direct(fallback.base, attributes, self.tier)
                if found:
                    return found, fallback
        found = self.direct(meter, attributes)
        if found:
            return found, None
        for fallback in fallbacks:
            if fallback.tier is None:
                found = self.direct(fallback.base, attributes)
                if found:
                    return found, fallback
        return None, None

    def direct(self, meter, attributes, tier=None):
        """The rate for the meter itself, in the most specific of the tables that hold."""
        for table in self.holding:
            if tier is not None and table.tier != tier:
                continue
            rate = best_rate(table, meter, attributes)
            if rate:
                return table, rate
        return None

    def _holds(self, table):
        return (
            (table.tier is None or table.tier == self.tier)
            and (table.region is None or is_in(self.region, table.region))
            and self._passes(table.context_above)
            and (
                table.hours is None
                or any(begin <= self.minute < end for begin, end in table.hours[1])
            )
        )

    def _passes(self, above):
        if above is None or self.prompt_tokens > above:
            return True
        return self.model.context_inclusive and self.prompt_tokens == above

    def dearest(self, meters, attributes):
        """The dearest that one unit of any of these meters can be, over all that a quote leaves
        open."""
        dearest = None
        for meter in meters:
            for fallback in [None, *self._reached_fallbacks(meter)]:
                found = self.dearest_direct(meter, attributes, fallback)
                if found and (dearest is None or found[0] > dearest[0]):
                    dearest = found
        return dearest

    def _reached_fallbacks(self, meter):
        """What may stand in for a meter: what a tier says of its own, and the others up to the first
        whose base every call finds in the standard table."""
        always = {rate.meter for rate in self.tables[0].rates if not rate.attributes}
        for fallback in self.book.meter_fallbacks:
            if fallback.meter == meter and fallback.tier is not None:
                yield fallback
        if meter in always:
            return
        for fallback in self.book.meter_fallbacks:
            if fallback.meter == meter and fallback.tier is None:
                yield fallback
                if fallback.base in always:
                    return

    def dearest_direct(self, meter, attributes, fallback):
        dearest = None
        rated = fallback.base if fallback else meter
        for table in self.tables:
            if not self._reaches(table):
                continue
            if fallback and fallback.tier is not None and table.tier != fallback.tier:
                continue
            tier = self.tier_factor if table.tier is None else None
            for rate in table.rates:
                if rate.meter != rated or not fits(rate, attributes):
                    continue
                usd = self._unit_price(rate, fallback, tier)
                if dearest is None or usd > dearest[0]:
                    dearest = usd, meter, table, rate, fallback
        return dearest

    def _reaches(self, table):
        """Hours do not narrow what a quote reaches: the call may run at any time after it."""
        return (
            (table.tier is None or self.any_tier or table.tier == self.tier)
            and (table.region is None or self.region is None or is_in(self.region, table.region))
            and self._passes(table.context_above)
        )


def provider_cost(usd):
    return Line(wit.LineKind.PROVIDER_COST, None, ONE, usd, wit.Reason_ProviderCost())


def total(pools, meters):
    return sum((pool.quantity for pool in pools if pool.meter in meters), ZERO)


def known_at(model, call):
    """As of when prices are to be known. A fact that cannot be read would choose a price."""
    fact = call.fact("known_at")
    if fact is None or len(model.periods) == 1:
        return call.at_ms
    digits = fact[1:] if fact[:1] in ("+", "-") else fact
    if not (digits.isascii() and digits.isdigit()):
        raise out_of_range("fact `known_at`")
    return int(fact)


def period_at(model, at_ms, known_at_ms):
    """The period that holds at a time, as it was known at another."""

    def since(period):
        return (period.known is not None, period.known or 0)

    holding = [
        period
        for period in model.periods
        if (period.begins is None or period.begins <= at_ms)
        and (period.ends is None or at_ms < period.ends)
    ]
    known = [each for each in holding if each.known is None or each.known <= known_at_ms]
    return max(known, key=since, default=None) or min(holding, key=since, default=None)


def is_in(actual, region):
    return actual == region or (region == "*" and actual not in (None, "", "global"))


def best_rate(table, meter, attributes):
    """The rate whose attributes are all the pool's, and are the most."""
    best = None
    for rate in table.rates:
        if rate.meter != meter or (best and len(rate.attributes) <= len(best.attributes)):
            continue
        if all(tuple(each) in attributes for each in rate.attributes):
            best = rate
    return best


def fits(rate, declared):
    """Whether a pool with the declared attributes, and perhaps more, can have this rate."""
    wanted = dict(rate.attributes)
    return all(wanted.get(name, value) == value for name, value in declared)
