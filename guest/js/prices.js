// What a call costs at the provider, by the book: the lines of an event, and the dearest lines that
// a call can have which has not run yet. The same rules as the host's own, which checks the sum: no
// price may be below it.

import { Decimal, ONE, ZERO, max } from "./decimal.js";
import { Refusal } from "./refusal.js";

const WEEK_MINUTES = 10_080;
const EPOCH_MINUTE = 3 * 24 * 60;
const MINUTE_MS = 60_000;

const TEXT = ["input", "cache_read", "cache_write_5m", "cache_write_1h"];
const PROMPT = [...TEXT, "input_audio", "input_image", "input_video"];
const OUTPUT = ["output", "reasoning"];

// The lines of what a call used, at the provider's rates.
export function costLines(book, call) {
  if (call.providerCostUsd) return [providerCostLine(call.providerCostUsd)];
  const prices = new Prices(book, call);
  const lines = [];
  for (const pool of call.pools) {
    if (!pool.quantity.isZero()) lines.push(prices.line(pool));
  }
  if (!call.pools.some((pool) => pool.meter === "request")) {
    const fee = prices.direct("request", []);
    if (fee) lines.push(prices.lineOf("request", ONE, fee, undefined));
    else if (call.pools.length === 0) throw prices.notPriced("request");
  }
  return lines;
}

// The lines of the most that a call can cost, and the output tokens that this assumes.
export function worstLines(book, call) {
  const prices = new Prices(book, call);
  const declared = (meters) => sumOf(call.pools, meters);
  const textTokens = Decimal.of(call.bodyBytes).add(declared(TEXT));
  prices.promptTokens = textTokens.add(declared(PROMPT.slice(TEXT.length)));
  const lines = [];
  const add = (meters, quantity, attributes = []) => {
    const dearest = prices.dearest(meters, attributes);
    if (dearest) lines.push(prices.lineOf(dearest.meter, quantity, dearest, dearest.fallback));
    return dearest !== undefined;
  };
  add(TEXT, textTokens);
  let maxOutputTokens = call.maxOutputTokens ?? prices.model.maxOutputTokens ?? book.maxOutputTokens;
  if (!add(OUTPUT, Decimal.of(maxOutputTokens).add(declared(OUTPUT)))) maxOutputTokens = undefined;
  const isDeclared = (meter) => call.pools.some((pool) => pool.meter === meter);
  if (!isDeclared("character")) add(["character"], Decimal.of(call.bodyBytes));
  for (const { meter, quantity, attributes } of call.pools) {
    if (TEXT.includes(meter) || OUTPUT.includes(meter)) continue;
    const units = meter === "request" ? max(quantity, ONE) : quantity;
    if (units.isZero() || add([meter], units, attributes) || meter === "request") continue;
    throw prices.notPriced(meter);
  }
  if (!isDeclared("request")) {
    const fee = prices.dearestDirect("request", [], undefined);
    if (fee) lines.push(prices.lineOf("request", ONE, fee, undefined));
  }
  if (lines.length === 0) throw prices.notPriced("input");
  const vouched = call.providerCostUsd;
  const total = lines.reduce((sum, line) => sum.add(line.amountUsd), ZERO);
  if (vouched && vouched.cmp(total) > 0) return { lines: [providerCostLine(vouched)], maxOutputTokens };
  return { lines, maxOutputTokens };
}

// What one unit of each standard rate of a model costs.
export function unitCosts(model, atMs) {
  const period = periodAt(model, atMs, atMs);
  return period ? period.tables[0].rates : [];
}

class Prices {
  constructor(book, call) {
    this.book = book;
    const model = call.model;
    this.model = model === undefined ? undefined : book.find(call.provider, model);
    if (!this.model) throw Refusal.unknownModel(call.provider, model ?? "");
    const period = periodAt(this.model, call.atMs, knownAt(this.model, call));
    if (!period) throw this.notPriced("the time of the call");
    if (this.model.contextMarginal) throw this.notPriced("a marginal context");
    this.tables = period.tables;
    this.isQuote = call.isQuote;
    this.region = call.region;
    this.minute = minuteOfWeek(call.atMs);
    this.promptTokens = this.tables.some((table) => table.contextAbove !== null)
      ? sumOf(call.pools, PROMPT)
      : ZERO;
    this.#takeTier(call.serviceTier);
    this.holding = this.isQuote ? [] : this.tables.filter((table) => this.#holds(table)).reverse();
  }

  // The tier whose tables hold, or the factor of one that has none.
  #takeTier(asked) {
    this.tierFactor = undefined;
    this.anyTier = this.isQuote && (asked === undefined || asked === "auto");
    // A table of a region is a tier's only there.
    const has = (tier) => this.tables.some((table) => table.tier === tier
      && (table.region === null || isIn(this.region, table.region)));
    this.tier = ["", "default", "standard", undefined].includes(asked) ? undefined : asked;
    if (this.isQuote) {
      const may = ({ tier, factor }) =>
        (this.anyTier || tier === this.tier) && !has(tier) && factor.cmp(ONE) > 0;
      const dearer = this.book.tierFallbacks.filter(may).sort((a, b) => b.factor.cmp(a.factor));
      this.tierFactor = dearer[0];
    } else if (this.tier !== undefined && !has(this.tier)) {
      this.tierFactor = this.book.tierFallbacks.find(({ tier }) => tier === this.tier);
      if (!this.tierFactor) throw this.notPriced(`service tier ${this.tier}`);
      this.tier = undefined;
    }
  }

  line({ meter, quantity, attributes }) {
    const { found, fallback } = this.#rate(meter, attributes);
    if (!found) throw this.notPriced(meter);
    return this.lineOf(meter, quantity, found, fallback);
  }

  lineOf(meter, quantity, { table, rate }, fallback) {
    const tier = table.tier === null ? this.tierFactor : undefined;
    const unitPriceUsd = this.#unitPrice(rate, fallback, tier);
    if (!tier && !fallback && table.isPlain) {
      const reason = this.model.plainReason;
      return { kind: "usage", meter, quantity, unitPriceUsd, amountUsd: quantity.mul(unitPriceUsd), reason };
    }
    const rules = [];
    if (tier) rules.push(`tier:${tier.tier}`);
    if (fallback) rules.push(fallback.name ?? `${meter}_as_${fallback.base}`);
    const conditions = [];
    if (table.hours) conditions.push({ name: "hours", value: table.hours.name });
    if (table.region !== null) conditions.push({ name: "region", value: table.region });
    const reason = {
      model: this.model.name,
      serviceTier: table.tier ?? undefined,
      contextAbove: table.contextAbove ?? undefined,
      fallback: rules.length > 0 ? rules.join("/") : undefined,
      conditions,
    };
    return {
      kind: "usage", meter, quantity, unitPriceUsd, amountUsd: quantity.mul(unitPriceUsd),
      reason: { tag: "rate", val: reason },
    };
  }

  notPriced(meter) {
    return Refusal.notPriced(this.model.name, meter);
  }

  #unitPrice(rate, fallback, tier) {
    let usd = rate.usd;
    if (fallback) usd = usd.mul(fallback.factor);
    if (tier) usd = usd.mul(tier.factor);
    return usd;
  }

  // The rate of a pool, or of what stands in for its meter.
  #rate(meter, attributes) {
    if (this.tier === undefined) {
      const found = this.direct(meter, attributes);
      if (found) return { found };
    }
    const fallbacks = this.book.meterFallbacks.filter((fallback) => fallback.meter === meter);
    const ofTier = fallbacks.filter(({ tier }) => tier !== null && tier === this.tier);
    if (ofTier.length > 0) {
      const within = (table) => table.tier === this.tier;
      const own = this.direct(meter, attributes, within);
      if (own) return { found: own };
      for (const fallback of ofTier) {
        const found = this.direct(fallback.base, attributes, within);
        if (found) return { found, fallback };
      }
    }
    const found = this.direct(meter, attributes);
    if (found) return { found };
    for (const fallback of fallbacks.filter(({ tier }) => tier === null)) {
      const base = this.direct(fallback.base, attributes);
      if (base) return { found: base, fallback };
    }
    return {};
  }

  // The rate for the meter itself, in the most specific of the tables that hold.
  direct(meter, attributes, wanted) {
    for (const table of this.holding) {
      if (wanted && !wanted(table)) continue;
      const rate = bestRate(table, meter, attributes);
      if (rate) return { table, rate };
    }
    return undefined;
  }

  #holds(table) {
    const hours = table.hours?.spans;
    return (table.tier === null || table.tier === this.tier)
      && (table.region === null || isIn(this.region, table.region))
      && this.#passes(table)
      && (!hours || hours.some(([from, to]) => from <= this.minute && this.minute < to));
  }

  #passes({ contextAbove }) {
    if (contextAbove === null) return true;
    const order = this.promptTokens.cmp(contextAbove);
    return order > 0 || (order === 0 && this.model.contextInclusive);
  }

  // The dearest that one unit of any of these meters can be, over all that a quote leaves open.
  dearest(meters, attributes) {
    let dearest;
    for (const meter of meters) {
      for (const fallback of [undefined, ...this.#reachedFallbacks(meter)]) {
        const found = this.dearestDirect(meter, attributes, fallback);
        if (found && (!dearest || found.usd.cmp(dearest.usd) > 0)) dearest = { ...found, meter };
      }
    }
    return dearest;
  }

  // What may stand in for a meter: what a tier says of its own, and the others up to the first whose
  // base every call finds in the standard table.
  #reachedFallbacks(meter) {
    const fallbacks = this.book.meterFallbacks.filter((fallback) => fallback.meter === meter);
    const ofTiers = fallbacks.filter(({ tier }) => tier !== null);
    const [standard] = this.tables;
    const isAlways = (wanted) =>
      standard.rates.some((rate) => rate.meter === wanted && rate.attributes.length === 0);
    if (isAlways(meter)) return ofTiers;
    const others = fallbacks.filter(({ tier }) => tier === null);
    const last = others.findIndex(({ base }) => isAlways(base));
    return [...ofTiers, ...(last < 0 ? others : others.slice(0, last + 1))];
  }

  dearestDirect(meter, attributes, fallback) {
    let dearest;
    const rated = fallback?.base ?? meter;
    this.reached ??= this.tables.filter((each) => this.#reaches(each));
    for (const table of this.reached) {
      if (fallback && fallback.tier !== null && table.tier !== fallback.tier) continue;
      const tier = table.tier === null ? this.tierFactor : undefined;
      for (const rate of table.rates) {
        if (rate.meter !== rated || !fits(rate, attributes)) continue;
        const usd = this.#unitPrice(rate, fallback, tier);
        if (!dearest || usd.cmp(dearest.usd) > 0) dearest = { table, rate, fallback, usd };
      }
    }
    return dearest;
  }

  // Hours do not narrow what a quote reaches: the call may run at any time after it.
  #reaches(table) {
    return (table.tier === null || this.anyTier || table.tier === this.tier)
      && (table.region === null || this.region === undefined || isIn(this.region, table.region))
      && this.#passes(table);
  }
}

const providerCostLine = (usd) => ({
  kind: "provider-cost", quantity: ONE, unitPriceUsd: usd, amountUsd: usd,
  reason: { tag: "provider-cost" },
});

const sumOf = (pools, meters) => pools.reduce(
  (sum, pool) => (meters.includes(pool.meter) ? sum.add(pool.quantity) : sum),
  ZERO,
);

// As of when prices are to be known. A fact that cannot be read would choose a price.
function knownAt(model, call) {
  const fact = call.fact("known_at");
  if (fact === undefined || model.periods.length === 1) return call.atMs;
  if (!/^[+-]?[0-9]+$/.test(fact)) throw Refusal.outOfRange("fact `known_at`");
  return Number(fact);
}

// The period that holds at a time, as it was known at another.
function periodAt(model, atMs, knownAtMs) {
  const [only] = model.periods;
  if (model.periods.length === 1 && only.from === null && only.to === null) return only;
  const since = (period) => period.known ?? -Infinity;
  const holding = model.periods.filter(
    ({ from, to }) => (from === null || from <= atMs) && (to === null || atMs < to),
  );
  const known = holding.filter((period) => since(period) <= knownAtMs);
  const [latest] = known.sort((a, b) => (since(a) < since(b) ? 1 : -1));
  return latest ?? holding.sort((a, b) => (since(a) < since(b) ? -1 : 1))[0];
}

function minuteOfWeek(atMs) {
  const minute = (Math.floor(atMs / MINUTE_MS) + EPOCH_MINUTE) % WEEK_MINUTES;
  return minute < 0 ? minute + WEEK_MINUTES : minute;
}

const isIn = (actual, region) =>
  actual === region || (region === "*" && actual !== undefined && actual !== "" && actual !== "global");

// The rate whose attributes are all the pool's, and are the most.
function bestRate(table, meter, attributes) {
  let best;
  for (const rate of table.rates) {
    if (rate.meter !== meter) continue;
    const holds = rate.attributes.every(([name, value]) =>
      attributes.some((has) => has.name === name && has.value === value));
    if (holds && (!best || rate.attributes.length > best.attributes.length)) best = rate;
  }
  return best;
}

// Whether a pool with the declared attributes, and perhaps more, can have this rate.
const fits = (rate, declared) => rate.attributes.every(([name, value]) =>
  declared.every((has) => has.name !== name || has.value === value));
