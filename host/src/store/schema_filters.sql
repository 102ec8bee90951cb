-- Which builds of a filter belong to a component: they run the same policy in a proxy.
CREATE TABLE filters (
    component BLOB NOT NULL, filter BLOB NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    PRIMARY KEY (component, filter)
) STRICT, WITHOUT ROWID;
