-- Releases and bindings: who admitted what, and who bound it to whom, when and why. What is bound
-- now is the newest change of each scope, so the table of present bindings is gone.

ALTER TABLE releases ADD COLUMN class TEXT NOT NULL DEFAULT 'native';
ALTER TABLE releases ADD COLUMN trust TEXT NOT NULL DEFAULT 'untrusted';
ALTER TABLE releases ADD COLUMN admitted_by TEXT NOT NULL DEFAULT 'host';
UPDATE releases SET class = 'scripted' WHERE
    (SELECT length(bytes) FROM contents WHERE digest = releases.component) > 1048576;

CREATE TABLE revocations (
    component BLOB NOT NULL, book BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    why TEXT NOT NULL, PRIMARY KEY (component, book),
    FOREIGN KEY (component, book) REFERENCES releases
) STRICT, WITHOUT ROWID;

-- Without a component and a book: the scope has no release of its own since.
CREATE TABLE binding_changes (
    scope TEXT NOT NULL, id BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    kind TEXT NOT NULL, component BLOB, book BLOB, before_component BLOB, before_book BLOB,
    base BLOB, why TEXT, PRIMARY KEY (scope, id),
    FOREIGN KEY (component, book) REFERENCES releases
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_changes_by_id ON binding_changes (id);

INSERT INTO binding_changes
    SELECT replace(scope, 'deployment:', ''), zeroblob(16), since_ms, 'host', 'start', component, book, NULL, NULL, NULL, NULL
    FROM bindings WHERE scope LIKE 'deployment:%';
DROP TABLE bindings;
