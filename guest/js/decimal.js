// Exact decimal numbers. Money is never a JavaScript number: those are binary floats.
//
// In between, a number may have any length; what goes into an answer has the contract's: a
// coefficient of at most 96 bits and a scale of at most 28, or it is refused. Digits are never
// dropped.

import { Refusal } from "./refusal.js";

const LOW = 1n << 64n;
const LOW_BITS = 64n;
const LOW_MASK = LOW - 1n;
const COEFFICIENT_MAX = (1n << 96n) - 1n;
const SCALE_MAX = 28;

const POWERS = Array.from({ length: 64 }, (_, exponent) => 10n ** BigInt(exponent));
const power = (exponent) => POWERS[exponent] ?? 10n ** BigInt(exponent);

export class Decimal {
  // coefficient × 10^-scale; use `Decimal.of` for text.
  constructor(coefficient, scale) {
    this.coefficient = coefficient;
    this.scale = scale;
  }

  // From text such as "0.25" or a whole number such as 3 or 3n.
  static of(value) {
    if (value instanceof Decimal) return value;
    if (typeof value === "bigint") return new Decimal(value, 0);
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value)) throw new TypeError(`write ${value} as text: "${value}"`);
      return new Decimal(BigInt(value), 0);
    }
    return texts.get(value) ?? fromText(value);
  }

  // From the contract's record.
  static fromContract({ negative, coefficientHigh, coefficientLow, scale }) {
    let coefficient = coefficientLow;
    if (coefficientHigh !== 0) coefficient |= BigInt(coefficientHigh) << LOW_BITS;
    return new Decimal(negative ? -coefficient : coefficient, scale);
  }

  toContract() {
    let { coefficient, scale } = this;
    const negative = coefficient < 0n;
    if (negative) coefficient = -coefficient;
    if (coefficient < LOW && scale <= SCALE_MAX) {
      return { negative, coefficientHigh: 0, coefficientLow: coefficient, scale };
    }
    while (scale > 0 && coefficient % 10n === 0n) {
      coefficient /= 10n;
      scale -= 1;
    }
    if (scale > SCALE_MAX || coefficient > COEFFICIENT_MAX) {
      throw Refusal.outOfRange("a number with more digits than a decimal holds");
    }
    const coefficientHigh = Number(coefficient >> LOW_BITS);
    return { negative, coefficientHigh, coefficientLow: coefficient & LOW_MASK, scale };
  }

  add(value) {
    const other = Decimal.of(value);
    const more = other.scale - this.scale;
    if (more === 0) return new Decimal(this.coefficient + other.coefficient, this.scale);
    return more > 0
      ? new Decimal(this.coefficient * power(more) + other.coefficient, other.scale)
      : new Decimal(this.coefficient + other.coefficient * power(-more), this.scale);
  }

  sub(value) {
    return this.add(Decimal.of(value).negated());
  }

  mul(value) {
    const other = Decimal.of(value);
    return new Decimal(this.coefficient * other.coefficient, this.scale + other.scale);
  }

  negated() {
    return new Decimal(-this.coefficient, this.scale);
  }

  // Below 0, 0, or above 0.
  cmp(value) {
    const { coefficient } = this.sub(value);
    if (coefficient < 0n) return -1;
    return coefficient === 0n ? 0 : 1;
  }

  isZero() {
    return this.coefficient === 0n;
  }

  // What stands before the point, as a bigint.
  trunc() {
    return this.coefficient / power(this.scale);
  }

  toString() {
    const sign = this.coefficient < 0n ? "-" : "";
    const digits = String(sign ? -this.coefficient : this.coefficient).padStart(this.scale + 1, "0");
    const point = digits.length - this.scale;
    const fraction = digits.slice(point).replace(/0+$/, "");
    return sign + digits.slice(0, point) + (fraction && `.${fraction}`);
  }
}

// Numbers that were read from text: a policy's own, which are the same in every call.
const texts = new Map();
const TEXTS_MAX = 256;

function fromText(text) {
  const parts = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!parts) throw new TypeError(`"${text}" is not a number in plain notation`);
  const [, sign, whole, fraction = ""] = parts;
  const read = new Decimal(BigInt(sign + whole + fraction), fraction.length);
  if (texts.size < TEXTS_MAX) texts.set(text, read);
  return read;
}

export const ZERO = new Decimal(0n, 0);
export const ONE = new Decimal(1n, 0);

export const max = (a, b) => (a.cmp(b) < 0 ? b : a);
