// Writes a Farebox policy in JavaScript: one function that puts its terms on a bill.
//
//   import { definePolicy } from "./farebox/index.js";
//
//   export const policy = definePolicy({
//     name: "a-quarter-more", version: "1.0.0", summary: "Cost plus a quarter.",
//     price(bill) { bill.markup("0.25", "a_quarter_more"); },
//   });
//
// The bill begins with what the call costs at the provider by the price book; before a call, with
// the most that it can cost. A policy is a pure function: no clock, no randomness, no state that
// shows in an answer. The host checks every answer and computes the cost itself.

import { Bill, meterFromContract, meterToContract } from "./bill.js";
import { Book } from "./book.js";
import { Decimal, ONE } from "./decimal.js";
import { costLines, unitCosts, worstLines } from "./prices.js";
import { Refusal } from "./refusal.js";

export { Decimal, Refusal };

// Models on a page of the rate card.
const PAGE_MAX = 100;

export function definePolicy({ name, version, summary, price }) {
  class Policy {
    #book;

    constructor(book) {
      this.#book = book;
    }

    static load(canonicalBook) {
      return new Policy(new Book(canonicalBook));
    }

    quote(request) {
      const call = new Call(request, request.facts);
      const worst = call.isOwnKey ? { lines: [] } : worstLines(this.#book, call);
      const bill = new Bill(worst.lines);
      price(bill, call, this.#book);
      return { ...bill.toContract(), maxOutputTokens: worst.maxOutputTokens };
    }

    rate({ event, facts }) {
      return this.#rate(event, facts);
    }

    rateBatch(callers, requests) {
      return requests.map(({ event, caller, occurredAtMs, monthToDateUsd }) => {
        const facts = { caller: callers[caller], occurredAtMs, monthToDateUsd };
        try {
          return { tag: "ok", val: this.#rate(event, facts) };
        } catch (error) {
          if (error instanceof Refusal) return { tag: "err", val: error.payload };
          throw error;
        }
      });
    }

    #rate(event, facts) {
      const call = new Call(event, facts);
      const bill = new Bill(call.isOwnKey ? [] : costLines(this.#book, call));
      price(bill, call, this.#book);
      return bill.toContract();
    }

    rateCard({ provider, modelPrefix, after, limit, facts }) {
      const book = this.#book;
      const entries = [];
      for (let number = after === undefined ? 0 : Number(after); number < book.modelCount; number += 1) {
        const model = book.model(number);
        if (provider !== undefined && model.provider !== provider) continue;
        if (modelPrefix !== undefined && !model.name.startsWith(modelPrefix)) continue;
        if (entries.length >= Math.min(limit || PAGE_MAX, PAGE_MAX)) return { entries, next: String(number) };
        entries.push(this.#card(model, facts));
      }
      return { entries, next: undefined };
    }

    // What one unit sells for is what a bill of one unit comes to.
    #card(model, facts) {
      const rates = unitCosts(model, Number(facts.occurredAtMs)).map(({ meter, usd, attributes }) => {
        const call = new Call({ provider: model.provider, modelAsked: model.name, pools: [] }, facts);
        const line = { kind: "usage", meter, quantity: ONE, unitPriceUsd: usd, amountUsd: usd };
        const bill = new Bill(call.isOwnKey ? [] : [line]);
        price(bill, call, this.#book);
        return {
          meter: meterToContract(meter),
          attributes: attributes.map(([of, value]) => ({ name: of, value })),
          unitPriceUsd: bill.totalUsd.toContract(),
          marketUsd: usd.toContract(),
        };
      });
      return { provider: model.provider, model: model.name, rates };
    }

    describe() {
      return { name, version, summary, bookName: this.#book.name, bookAsOf: this.#book.asOf };
    }
  }
  return { Policy };
}

// What is priced: a call that ran, or one that has not (`isQuote`).
class Call {
  #facts;

  constructor(asked, facts) {
    const { caller } = facts;
    this.#facts = caller.other ?? [];
    this.isQuote = asked.bodyBytes !== undefined;
    this.provider = asked.provider;
    this.model = asked.model ?? asked.modelServed ?? asked.modelAsked;
    this.serviceTier = asked.serviceTier;
    this.region = asked.region;
    this.feature = asked.feature;
    this.bodyBytes = asked.bodyBytes;
    this.maxOutputTokens = asked.maxOutputTokens;
    const usd = asked.providerCostUsd ?? asked.providerCostMaxUsd;
    this.providerCostUsd = usd && Decimal.fromContract(usd);
    this.pools = (asked.declared ?? asked.pools).map(({ meter, quantity, attributes }) => ({
      meter: meterFromContract(meter),
      quantity: Decimal.fromContract(quantity),
      attributes: attributes ?? [],
    }));
    this.isOwnKey = caller.keySource === "own";
    this.isSelfHosted = caller.deployment === "self-hosted";
    this.plan = caller.plan;
    this.org = caller.org;
    this.project = caller.project;
    this.user = caller.user;
    this.agent = caller.agent;
    // Milliseconds since the Unix epoch; of a quote, when it was asked for.
    this.atMs = Number(facts.occurredAtMs);
    this.monthToDateUsd = Decimal.fromContract(facts.monthToDateUsd);
    Object.freeze(this);
  }

  // A further fact that the host vouches for, as text.
  fact(name) {
    return this.#facts.find((fact) => fact.name === name)?.value;
  }
}
