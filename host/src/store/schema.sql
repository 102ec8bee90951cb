-- The first schema. Ids are 16 bytes and sort by time; amounts are nano-credits; times are
-- milliseconds since the Unix epoch; bodies are the CBOR of `store/rows`.

-- Who there is -----------------------------------------------------------------------------------
CREATE TABLE commodities (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, usd_per_credit TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE orgs (
    id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, plan TEXT, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY, org BLOB NOT NULL REFERENCES orgs, name TEXT NOT NULL,
    prefix TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_of_org ON api_keys (org, id);

CREATE TABLE contents (digest BLOB NOT NULL PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

CREATE TABLE releases (
    component BLOB NOT NULL REFERENCES contents, book BLOB NOT NULL REFERENCES contents,
    book_source BLOB REFERENCES contents, name TEXT NOT NULL, admitted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (component, book)
) STRICT, WITHOUT ROWID;

CREATE TABLE bindings (
    scope TEXT PRIMARY KEY, component BLOB NOT NULL, book BLOB NOT NULL,
    since_ms INTEGER NOT NULL, FOREIGN KEY (component, book) REFERENCES releases
) STRICT, WITHOUT ROWID;

CREATE TABLE quotes (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_queries (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX data_queries_of_org ON data_queries (org, id);

CREATE TABLE audit (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    verb TEXT NOT NULL, subject TEXT, request_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_of_org ON audit (org, id);

-- Personal data stands apart so that it can be erased (L4): of queries one row each, of usage
-- events one row for each of their chunks, by the same number and slots.
CREATE TABLE personal (
    subject BLOB PRIMARY KEY, org BLOB NOT NULL, client_ip TEXT, user_agent TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_personal (chunk INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

-- The journal: append-only ------------------------------------------------------------------------
-- Lists in chunks, see `store/chunks`; their entries are those of `store/rows/records`.
-- A transaction and its postings are one fact, so they are one entry.
CREATE TABLE transactions (chunk INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE usage_events (chunk INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE receipts (chunk INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE holds (chunk INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

CREATE TABLE notes ("transaction" BLOB PRIMARY KEY, note TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- The charge of usage that was recorded without a price.
CREATE TABLE settlements (
    event BLOB PRIMARY KEY, charge BLOB NOT NULL, price_nanos INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refunds (
    charge BLOB NOT NULL, refund BLOB NOT NULL, amount_nanos INTEGER NOT NULL,
    PRIMARY KEY (charge, refund)
) STRICT, WITHOUT ROWID;

-- What rules of the price book counted of charges: units of a free quota, USD of a volume price or
-- of a maximum. Decimals as text. Only books with such rules write any.
CREATE TABLE counts (
    org BLOB NOT NULL, rule TEXT NOT NULL, period TEXT NOT NULL, charge BLOB NOT NULL,
    quantity TEXT NOT NULL, PRIMARY KEY (org, rule, period, charge)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, source TEXT NOT NULL, amount_nanos INTEGER NOT NULL,
    cash_currency TEXT, cash_minor_units INTEGER, priority INTEGER NOT NULL,
    expires_at_ms INTEGER, features TEXT NOT NULL, granted_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every so many usage events of an org one is marked, so that a reader can begin in the middle.
CREATE TABLE marks (
    org BLOB NOT NULL, at_ms INTEGER NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (org, at_ms, place)
) STRICT, WITHOUT ROWID;

-- Where what has an id stands in its list, see `store/chunks/ids`.
CREATE TABLE ids (
    list INTEGER NOT NULL, upto BLOB NOT NULL, entries BLOB NOT NULL, PRIMARY KEY (list, upto)
) STRICT, WITHOUT ROWID;
CREATE TABLE ids_late (
    list INTEGER NOT NULL, id BLOB NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (list, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds_ended (id BLOB PRIMARY KEY, place INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- First effects, for retries (L6): those of a commit in one row, because a commit has a thousand
-- and a retry is rare. Which key led to which stands in the dedupe tables.
CREATE TABLE effects ("commit" INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

CREATE TABLE dedupe_recent (
    generation INTEGER NOT NULL, "commit" INTEGER NOT NULL, entries BLOB NOT NULL,
    PRIMARY KEY (generation, "commit")
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe_entries (
    generation INTEGER NOT NULL, first_key BLOB NOT NULL, entries BLOB NOT NULL,
    PRIMARY KEY (generation, first_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe_filters (generation INTEGER PRIMARY KEY, bits BLOB NOT NULL) STRICT;

-- What is alive: derived from the journal, checked against it by `verify` --------------------------
CREATE TABLE wallets (
    org BLOB PRIMARY KEY, commodity BLOB NOT NULL, credit_limit_nanos INTEGER NOT NULL,
    overdraft_nanos INTEGER NOT NULL, balances BLOB NOT NULL, seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL, head INTEGER, usage_seq INTEGER NOT NULL, usage_head INTEGER,
    month INTEGER NOT NULL, month_nanos INTEGER NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lots (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, remaining_nanos INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE holds_active (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, place INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE unpriced (
    event BLOB PRIMARY KEY, org BLOB NOT NULL, hold BLOB, dimensions BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE budgets (
    id BLOB PRIMARY KEY, org BLOB NOT NULL, scope TEXT NOT NULL, scope_value TEXT,
    kind TEXT NOT NULL, window TEXT NOT NULL, zone TEXT NOT NULL, limit_nanos INTEGER NOT NULL,
    window_start_ms INTEGER NOT NULL, window_end_ms INTEGER NOT NULL, spent_nanos INTEGER NOT NULL,
    -- Since when it counts: after which transaction, when, and from what on.
    since_place INTEGER, since_ms INTEGER NOT NULL, since_nanos INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
