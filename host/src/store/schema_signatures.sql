-- Who signed a release. The rest of what was signed stands in `releases`.
CREATE TABLE signatures (
    component BLOB NOT NULL, book BLOB NOT NULL, key BLOB NOT NULL, contract TEXT NOT NULL,
    signature BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    PRIMARY KEY (component, book, key), FOREIGN KEY (component, book) REFERENCES releases
) STRICT, WITHOUT ROWID;

-- The keys that a deployment pins from then on, a line of `NAME=KEY` each. No line: none.
CREATE TABLE pinned_keys (
    deployment TEXT NOT NULL, id BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    keys TEXT NOT NULL, PRIMARY KEY (deployment, id)
) STRICT, WITHOUT ROWID;
