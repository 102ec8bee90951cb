// Happy hour by region: where it is night, machines stand idle and calls cost less. A price book
// knows hours and it knows regions, but not the night of each region on its own clocks.

import { Refusal, definePolicy } from "./farebox/index.js";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

// What every call pays on top of its cost, and how much of the whole the happy hour takes off: cost
// × 1.25 × 0.88 is still a tenth above the cost.
const MARKUP = "0.25";
const HAPPY_HOUR_OFF = "0.12";

const at = (hours, minutes = 0) => hours * 60 + minutes;

// By region: how far its clocks are ahead of UTC, and its happy hours on them.
const HAPPY_HOURS = new Map([
  ["eu-west", { ahead: at(1), from: at(1), until: at(6) }],
  ["us-east", { ahead: -at(5), from: at(23), until: at(5) }],
  ["ap-south", { ahead: at(5, 30), from: at(2), until: at(7) }],
]);

// Regions that are not sold in.
const CLOSED = new Set(["cn-north"]);

export const policy = definePolicy({
  name: "happy-hour",
  version: "1.0.0",
  summary: "Cost plus a quarter, and less where it is night.",

  price(bill, call, book) {
    if (CLOSED.has(call.region)) throw Refusal.notAllowed(`region:${call.region}`);
    if (call.isOwnKey) {
      bill.platformFee(book.ownKeyCap.fixedUsd);
      return;
    }
    bill.markup(MARKUP, "happy_hour:base");
    // A quote must hold whenever the call runs, so it does not count on the hour.
    if (!call.isQuote && isHappy(call)) {
      bill.discount(HAPPY_HOUR_OFF, { code: "happy_hour", region: call.region });
    }
  },
});

function isHappy({ region, atMs }) {
  const hours = HAPPY_HOURS.get(region);
  if (!hours) return false;
  const minutes = Math.floor(atMs / MINUTE_MS) + hours.ahead;
  const minute = ((minutes % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
  const { from, until } = hours;
  return from < until ? from <= minute && minute < until : minute >= from || minute < until;
}
