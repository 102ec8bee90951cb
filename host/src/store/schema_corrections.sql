-- Corrections of wrong charges: which transaction corrected which charge because of which release.
-- Below zero: given back; above: taken.
CREATE TABLE corrections (
    charge BLOB NOT NULL, "transaction" BLOB NOT NULL, component BLOB NOT NULL, book BLOB NOT NULL,
    amount_nanos INTEGER NOT NULL, PRIMARY KEY (charge, "transaction")
) STRICT, WITHOUT ROWID;
