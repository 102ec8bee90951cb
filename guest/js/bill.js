// The lines of one answer. Every line is a quantity times a unit price, exactly, and the total is
// the sum of the lines: the host checks both.

import { Decimal, ZERO } from "./decimal.js";
import { Refusal } from "./refusal.js";

// The most that a line or a total may be, either side of zero, in USD.
const AMOUNT_MAX_USD = Decimal.of(1_000_000_000);

export class Bill {
  #lines;
  #cost;
  // The sum of the lines so far.
  totalUsd = ZERO;

  constructor(costLines) {
    this.#lines = costLines;
    for (const line of costLines) this.totalUsd = this.totalUsd.add(line.amountUsd);
    this.#cost = this.totalUsd;
  }

  // What the provider takes for the call, by the book; zero on the customer's own key.
  get costUsd() {
    return this.#cost;
  }

  // Adds `share` of the total so far: 0.25 adds 25 %.
  markup(share, why) {
    this.#add("markup", this.totalUsd, Decimal.of(share), custom(why) ?? { tag: "markup", val: why });
  }

  // Takes `share` of the total so far away.
  discount(share, why) {
    const off = Decimal.of(share).negated();
    this.#add("discount", this.totalUsd, off, custom(why) ?? { tag: "discount", val: why });
  }

  // A fixed fee in USD for a call on the customer's own key.
  platformFee(usd) {
    this.#add("platform-fee", Decimal.of(1), Decimal.of(usd), { tag: "platform-fee-fixed" });
  }

  // Lifts the total to `usd` where it is below.
  atLeast(usd, why) {
    const missing = Decimal.of(usd).sub(this.totalUsd);
    if (missing.cmp(ZERO) <= 0) return;
    this.#add("minimum", Decimal.of(1), missing, custom(why) ?? { tag: "minimum", val: why });
  }

  #add(kind, quantity, unitPriceUsd, reason) {
    const amountUsd = quantity.mul(unitPriceUsd);
    if (amountUsd.isZero()) return;
    this.#lines.push({ kind, quantity, unitPriceUsd, amountUsd, reason });
    this.totalUsd = this.totalUsd.add(amountUsd);
  }

  // Lines and total as the contract has them.
  toContract() {
    return {
      model: undefined,
      lines: this.#lines.map((line) => ({
        kind: line.kind,
        meter: line.meter && meterToContract(line.meter),
        quantity: line.quantity.toContract(),
        unitPriceUsd: line.unitPriceUsd.toContract(),
        amountUsd: amountToContract(line.amountUsd, "amount of a line"),
        reason: line.reason,
      })),
      totalUsd: amountToContract(this.totalUsd, "total"),
    };
  }
}

const amountToContract = (usd, what) => {
  const size = usd.cmp(ZERO) < 0 ? usd.negated() : usd;
  if (size.cmp(AMOUNT_MAX_USD) > 0) throw Refusal.outOfRange(what);
  return usd.toContract();
};

// A reason of the policy's own: a code in snake case, and what a text for a person needs.
const custom = (why) => {
  if (typeof why === "string") return undefined;
  const { code, ...parameters } = why;
  const named = Object.entries(parameters).map(([name, value]) => ({ name, value: String(value) }));
  named.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { tag: "custom", val: { code, parameters: named } };
};

const NAMED = [
  "input", "cache-read", "cache-write-5m", "cache-write-1h", "output", "reasoning", "input-audio",
  "output-audio", "input-image", "output-image", "input-video", "request", "search", "tool-call",
  "second", "character", "page", "image",
];

const TO_CONTRACT = new Map(NAMED.map((tag) => [tag.replaceAll("-", "_"), { tag }]));
const FROM_CONTRACT = new Map(NAMED.map((tag) => [tag, tag.replaceAll("-", "_")]));

export const meterToContract = (meter) => TO_CONTRACT.get(meter) ?? { tag: "other", val: meter };

export const meterFromContract = ({ tag, val }) => FROM_CONTRACT.get(tag) ?? val;
