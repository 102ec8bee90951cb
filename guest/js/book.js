// Reads the canonical price book in place (docs/canonical-book.md). Opening it decodes the terms;
// a model is decoded when it is first asked for.

import { Decimal } from "./decimal.js";
import { ConfigError } from "./refusal.js";

const FORMAT_VERSION = 1;
const HEADER_BYTES = 36;
const MODEL_RECORD_BYTES = 16;
const INDEX_RECORD_BYTES = 12;
const FOUND_MAX = 512;

const METERS = [
  "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "input_audio",
  "output_audio", "input_image", "output_image", "input_video", "request", "search", "tool_call",
  "second", "character", "page", "image",
];

export class Book {
  #bytes;
  #view;
  #models;
  #names;
  #prefixes;
  #patterns;
  #keys;
  #entries;
  #decoded = new Map();
  // Only a shortcut: which names led to which models.
  #found = new Map();

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES || text(bytes, 0, 6) !== "FBBOOK") {
      throw new ConfigError("malformed", "these bytes are no canonical book");
    }
    const version = this.#view.getUint16(6, true);
    if (version !== FORMAT_VERSION) throw new ConfigError("unsupported-version", version);
    const word = (at) => this.#view.getUint32(at, true);
    let end = HEADER_BYTES;
    const section = (length) => {
      const at = end;
      end += length;
      return at;
    };
    const termsAt = section(word(8));
    this.modelCount = word(12);
    this.#models = section(MODEL_RECORD_BYTES * this.modelCount);
    const index = (at) => {
      const count = word(at);
      return { at: section(INDEX_RECORD_BYTES * count), count };
    };
    this.#names = index(16);
    this.#prefixes = index(20);
    this.#patterns = index(24);
    this.#keys = section(word(28));
    this.#entries = section(word(32));
    if (end !== bytes.length) throw new ConfigError("malformed", "the book is cut off");
    const terms = new Cbor(bytes, this.#view, termsAt).item();
    this.name = terms[0];
    this.asOf = terms[1];
    this.meterFallbacks = terms[4].map(([tier, meter, base, factor, name]) => ({
      tier, meter: meterName(meter), base: meterName(base), factor, name,
    }));
    this.tierFallbacks = terms[5].map(([tier, factor]) => ({ tier, factor }));
    this.ownKeyCap = { fixedUsd: terms[9][0], shareOfMarket: terms[9][1] };
    this.maxOutputTokens = BigInt(terms[10]);
    if (terms[12] !== null) {
      throw new ConfigError("unusable", "it has terms of sale, which only the standard policy reads");
    }
  }

  // The model that `name` means at `provider`: by name or alias, else by its longest prefix, else
  // by the first pattern. `undefined` when the book has none.
  find(provider, name) {
    const key = `${provider}\0${name}`;
    let model = this.#found.get(key);
    if (model === undefined) {
      const number = this.#find(this.#names, key) ?? this.#byPrefix(provider, name) ??
        this.#byPattern(provider, name);
      if (number === undefined) return undefined;
      model = this.model(number);
      if (this.#found.size < FOUND_MAX) this.#found.set(key, model);
    }
    return model;
  }

  // Model `number`, in the order of provider and name.
  model(number) {
    let model = this.#decoded.get(number);
    if (!model) {
      const record = this.#models + MODEL_RECORD_BYTES * number;
      const key = this.#keyText(record);
      const entry = new Cbor(this.#bytes, this.#view, this.#entries + this.#word(record, 2)).item();
      model = toModel(key, entry);
      this.#decoded.set(number, model);
    }
    return model;
  }

  #word(record, number) {
    return this.#view.getUint32(record + 4 * number, true);
  }

  #keyText(record) {
    return text(this.#bytes, this.#keys + this.#word(record, 0), this.#word(record, 1));
  }

  #find({ at, count }, key) {
    const wanted = utf8(key);
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const record = at + INDEX_RECORD_BYTES * middle;
      const order = this.#compare(record, wanted);
      if (order === 0) return this.#word(record, 2);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  #compare(record, wanted) {
    const at = this.#keys + this.#word(record, 0);
    const length = this.#word(record, 1);
    const shared = Math.min(length, wanted.length);
    for (let i = 0; i < shared; i += 1) {
      const order = this.#bytes[at + i] - wanted[i];
      if (order !== 0) return order;
    }
    return length - wanted.length;
  }

  #byPrefix(provider, name) {
    if (this.#prefixes.count === 0) return undefined;
    for (let end = name.length; end > 0; end -= 1) {
      const number = this.#find(this.#prefixes, `${provider}\0${name.slice(0, end)}`);
      if (number !== undefined) return number;
    }
    return undefined;
  }

  #byPattern(provider, name) {
    for (let i = 0; i < this.#patterns.count; i += 1) {
      const record = this.#patterns.at + INDEX_RECORD_BYTES * i;
      const [of, pattern] = this.#keyText(record).split("\0");
      if (of !== provider || !matches(pattern, name)) continue;
      const number = this.#word(record, 2);
      const { except } = this.model(number);
      if (!except.some((other) => matches(lower(other), lower(name)))) return number;
    }
    return undefined;
  }
}

const toModel = (key, entry) => {
  const [provider, name] = key.split("\0");
  const [, , , except, maxOutputTokens, contextInclusive, contextMarginal, periods] = entry;
  return {
    provider,
    name,
    except,
    maxOutputTokens: maxOutputTokens === null ? undefined : BigInt(maxOutputTokens),
    contextInclusive,
    contextMarginal,
    plainReason: { tag: "rate", val: { model: name, conditions: [] } },
    periods: periods.map(([from, to, known, tables]) => ({
      from, to, known, tables: tables.map(toTable),
    })),
  };
};

const toTable = ([tier, region, contextAbove, hours, rates]) => ({
  tier,
  region,
  isPlain: tier === null && region === null && contextAbove === null && hours === null,
  contextAbove: contextAbove === null ? null : BigInt(contextAbove),
  hours: hours && { name: hours[0], spans: hours[1] },
  rates: rates.map(([meter, usd, attributes]) => ({
    meter: meterName(meter), usd, attributes,
  })),
});

const meterName = (meter) => (typeof meter === "string" ? meter : METERS[meter]);

// `*` is any text, `#` one digit, all else itself. Without an expression to compile, which in an
// interpreter costs more than all else of a call.
function matches(pattern, name) {
  let p = 0;
  let n = 0;
  // Behind the last star, and where in the name it began to be tried.
  let star = -1;
  let from = 0;
  while (n < name.length) {
    const wanted = pattern[p];
    if (wanted === "*") {
      p += 1;
      star = p;
      from = n;
    } else if (wanted === name[n] || (wanted === "#" && name[n] >= "0" && name[n] <= "9")) {
      p += 1;
      n += 1;
    } else if (star >= 0) {
      from += 1;
      p = star;
      n = from;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p += 1;
  return p === pattern.length;
}

// Only ASCII letters: the case of others counts.
const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const text = (bytes, at, length) => decoder.decode(bytes.subarray(at, at + length));
const utf8 = (string) => encoder.encode(string);

// The items that a canonical book has: whole numbers, text, lists, decimals, booleans and null.
class Cbor {
  #bytes;
  #view;
  #at;

  constructor(bytes, view, at) {
    this.#bytes = bytes;
    this.#view = view;
    this.#at = at;
  }

  item() {
    const head = this.#bytes[this.#at];
    this.#at += 1;
    const major = head >> 5;
    const short = head & 31;
    if (major === 7) {
      if (short === 20 || short === 21) return short === 21;
      if (short === 22) return null;
      throw malformed();
    }
    const value = this.#argument(short);
    if (major === 0) return value;
    if (major === 1) return typeof value === "bigint" ? -1n - value : -1 - value;
    if (major === 3) {
      const at = this.#at;
      this.#at += value;
      return text(this.#bytes, at, value);
    }
    if (major === 4) {
      if (value > this.#bytes.length) throw malformed();
      const items = [];
      for (let i = 0; i < value; i += 1) items.push(this.item());
      return items;
    }
    if (major === 6 && value === 4) {
      const [exponent, mantissa] = this.item();
      return new Decimal(BigInt(mantissa), -exponent);
    }
    throw malformed();
  }

  // A number up to 2^53 as a number, a larger one as a bigint.
  #argument(short) {
    if (short < 24) return short;
    const at = this.#at;
    if (short === 24) {
      this.#at += 1;
      return this.#view.getUint8(at);
    }
    if (short === 25) {
      this.#at += 2;
      return this.#view.getUint16(at);
    }
    if (short === 26) {
      this.#at += 4;
      return this.#view.getUint32(at);
    }
    if (short !== 27) throw malformed();
    this.#at += 8;
    const wide = this.#view.getBigUint64(at);
    return wide <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(wide) : wide;
  }
}

const malformed = () => new ConfigError("malformed", "the book has an item of no known kind");
