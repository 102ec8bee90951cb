// Why there is no price. A refusal is an answer: the host reports it to the caller, and charges
// nothing. Any other error that is thrown is a fault of the policy.

export class Refusal extends Error {
  // What the contract's `refusal` says.
  constructor(payload) {
    super(payload.tag);
    this.payload = payload;
  }

  // The book has no such model.
  static unknownModel(provider, model) {
    return new Refusal({ tag: "unknown-model", val: { provider, model } });
  }

  // The model is known, but a meter that was used has no rate.
  static notPriced(model, meter) {
    return new Refusal({ tag: "not-priced", val: { model, meter } });
  }

  // The rules forbid the call; the text names the rule.
  static notAllowed(rule) {
    return new Refusal({ tag: "not-allowed", val: rule });
  }

  // A quantity or result is out of range; the text says what.
  static outOfRange(what) {
    return new Refusal({ tag: "out-of-range", val: what });
  }
}

// Why a book cannot be loaded.
export class ConfigError extends Error {
  constructor(tag, val) {
    super(String(val));
    this.payload = { tag, val };
  }
}
