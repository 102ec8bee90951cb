// The rules of {{name}}. Prices stand in the price book; here stands what is made of them.

import { Refusal, definePolicy } from "./farebox/index.js";

export const policy = definePolicy({
  name: "{{name}}",
  version: "0.1.0",
  summary: "Cost plus a quarter.",

  // `bill` begins with what the call costs at the provider; put your terms on it. `call` says what
  // was used, by whom and when. Equal calls must get equal answers: use nothing else.
  price(bill, call, book) {
    if (call.feature === "not_for_sale") throw Refusal.notAllowed("feature:not_for_sale");
    if (call.isOwnKey) {
      bill.platformFee(book.ownKeyCap.fixedUsd);
      return;
    }
    bill.markup("0.25", "{{name}}");
  },
});
