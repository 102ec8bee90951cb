"""Reads the canonical price book in place (docs/canonical-book.md). Opening it decodes the terms; a
model is decoded when it is first asked for."""

import re
import struct
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

from componentize_py_types import Err
from wit_world.exports import policy as wit

from .exact import Exact

FORMAT_VERSION = 1
HEADER = struct.Struct("<6sH7I")
MODEL_RECORD = struct.Struct("<4I")
INDEX_RECORD = struct.Struct("<3I")

METERS = (
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning",
    "input_audio", "output_audio", "input_image", "output_image", "input_video", "request",
    "search", "tool_call", "second", "character", "page", "image",
)


@dataclass
class Rate:
    meter: str
    usd: Exact
    attributes: list


@dataclass
class Table:
    tier: str | None
    region: str | None
    context_above: int | None
    hours: tuple | None
    rates: list

    def is_plain(self):
        return self.tier is self.region is self.context_above is self.hours is None


@dataclass
class Period:
    begins: int | None
    ends: int | None
    known: int | None
    tables: list


@dataclass
class Model:
    provider: str
    name: str
    excepted: list
    max_output_tokens: int | None
    context_inclusive: bool
    context_marginal: bool
    periods: list


@dataclass
class Fallback:
    tier: str | None
    meter: str
    base: str
    factor: Exact
    name: str | None


class Book:
    """A canonical book, opened."""

    def __init__(self, data):
        self._data = data
        if len(data) < HEADER.size:
            raise malformed("these bytes are no canonical book")
        magic, version, *sizes = HEADER.unpack_from(data)
        if magic != b"FBBOOK":
            raise malformed("these bytes are no canonical book")
        if version != FORMAT_VERSION:
            raise Err(wit.ConfigError_UnsupportedVersion(version))
        terms_size, self.model_count, names, prefixes, patterns, keys_size, entries_size = sizes
        end = HEADER.size

        def section(size):
            nonlocal end
            begin, end = end, end + size
            return begin

        terms_at = section(terms_size)
        self._models = section(MODEL_RECORD.size * self.model_count)
        self._names = (section(INDEX_RECORD.size * names), names)
        self._prefixes = (section(INDEX_RECORD.size * prefixes), prefixes)
        self._patterns = (section(INDEX_RECORD.size * patterns), patterns)
        self._keys = section(keys_size)
        self._entries = section(entries_size)
        if end != len(data):
            raise malformed("the book is cut off")
        terms, _ = item(data, terms_at)
        self.name, self.as_of = terms[0], terms[1]
        self.meter_fallbacks = [
            Fallback(tier, meter_name(meter), meter_name(base), factor, name)
            for tier, meter, base, factor, name in terms[4]
        ]
        self.tier_fallbacks = [tuple(each) for each in terms[5]]
        self.own_key_fixed_usd, self.own_key_share_of_market = terms[9]
        self.max_output_tokens = terms[10]
        if terms[12] is not None:
            what = "it has terms of sale, which only the standard policy reads"
            raise Err(wit.ConfigError_Unusable(what))
        self._decoded = {}
        self._found = {}

    def find(self, provider, name):
        """The model that `name` means at `provider`: by name or alias, else by its longest prefix,
        else by the first pattern. `None` when the book has none."""
        key = f"{provider}\0{name}"
        if key not in self._found:
            number = self._number(provider, name, key.encode())
            if number is None:
                return None
            self._found[key] = self.model(number)
        return self._found[key]

    def model(self, number):
        """Model `number`, in the order of provider and name."""
        if number not in self._decoded:
            at = self._models + MODEL_RECORD.size * number
            key_at, key_size, entry_at, _ = MODEL_RECORD.unpack_from(self._data, at)
            entry, _ = item(self._data, self._entries + entry_at)
            self._decoded[number] = to_model(self._key(key_at, key_size).decode(), entry)
        return self._decoded[number]

    def _key(self, at, size):
        begin = self._keys + at
        return self._data[begin : begin + size]

    def _number(self, provider, name, key):
        number = self._exact(self._names, key)
        if number is not None:
            return number
        if self._prefixes[1]:
            for end in range(len(name), 0, -1):
                number = self._exact(self._prefixes, f"{provider}\0{name[:end]}".encode())
                if number is not None:
                    return number
        return self._by_pattern(provider, name)

    def _records(self, index):
        begin, count = index
        for number in range(count):
            yield INDEX_RECORD.unpack_from(self._data, begin + INDEX_RECORD.size * number)

    def _exact(self, index, key):
        begin, count = index

        def record(number):
            return INDEX_RECORD.unpack_from(self._data, begin + INDEX_RECORD.size * number)

        def key_of(number):
            at, size, _ = record(number)
            return self._key(at, size)

        number = bisect_left(range(count), key, key=key_of)
        if number < count and key_of(number) == key:
            return record(number)[2]
        return None

    def _by_pattern(self, provider, name):
        for at, size, number in self._records(self._patterns):
            owner, pattern = self._key(at, size).decode().split("\0", 1)
            if owner != provider or not matcher(pattern, 0).fullmatch(name):
                continue
            excepted = self.model(number).excepted
            if not any(matcher(each, re.IGNORECASE).fullmatch(name) for each in excepted):
                return number
        return None


def to_model(key, entry):
    provider, name = key.split("\0", 1)
    _, _, _, excepted, max_output_tokens, inclusive, marginal, periods = entry
    return Model(
        provider, name, excepted, max_output_tokens, inclusive, marginal,
        [
            Period(begins, ends, known, [to_table(table) for table in tables])
            for begins, ends, known, tables, _ in periods
        ],
    )


def to_table(table):
    tier, region, context_above, hours, rates = table
    rates = [Rate(meter_name(meter), usd, attributes) for meter, usd, attributes in rates]
    return Table(tier, region, context_above, hours and tuple(hours), rates)


def meter_name(meter):
    return meter if isinstance(meter, str) else METERS[meter]


@cache
def matcher(pattern, flags):
    """`*` is any text, `#` one digit, all else itself."""
    parts = {"*": ".*", "#": "[0-9]"}
    text = "".join(parts.get(each) or re.escape(each) for each in pattern)
    return re.compile(text, flags | re.DOTALL)


def malformed(what):
    return Err(wit.ConfigError_Malformed(what))


WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
SIMPLE = {20: False, 21: True, 22: None}


def item(data, at):
    """One item as canonical books have them, and where the next begins."""
    head = data[at]
    major, value = head >> 5, head & 31
    at += 1
    if major == 7:
        if value not in SIMPLE:
            raise malformed("the book has an item of no known kind")
        return SIMPLE[value], at
    if value >= 24:
        if value not in WIDTHS:
            raise malformed("the book has an item of no known kind")
        width = WIDTHS[value]
        value = int.from_bytes(data[at : at + width], "big")
        at += width
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major == 3:
        return bytes(data[at : at + value]).decode(), at + value
    if major == 4:
        items = []
        for _ in range(value):
            each, at = item(data, at)
            items.append(each)
        return items, at
    if major == 6 and value == 4:
        (exponent, mantissa), at = item(data, at)
        return Exact(mantissa, -exponent), at
    raise malformed("the book has an item of no known kind")
