-- Trials of a candidate beside what is bound. One without an end runs.
CREATE TABLE trials (
    id BLOB NOT NULL PRIMARY KEY, scope TEXT NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    component BLOB NOT NULL, book BLOB NOT NULL,
    -- In a canary: a share in hundredths of a percent, or ids of orgs, 16 bytes each.
    share INTEGER, orgs BLOB,
    faults_max INTEGER NOT NULL, refused_max INTEGER, change_max INTEGER, calls_min INTEGER NOT NULL,
    why TEXT, FOREIGN KEY (component, book) REFERENCES releases
) STRICT, WITHOUT ROWID;

CREATE TABLE trial_ends (
    trial BLOB NOT NULL PRIMARY KEY REFERENCES trials, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
    ending TEXT NOT NULL, why TEXT, compared INTEGER NOT NULL, same INTEGER NOT NULL,
    dearer INTEGER NOT NULL, cheaper INTEGER NOT NULL, refused INTEGER NOT NULL,
    faults INTEGER NOT NULL, bound_usd TEXT NOT NULL, candidate_usd TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trial_samples (
    trial BLOB NOT NULL REFERENCES trials, number INTEGER NOT NULL, org BLOB NOT NULL,
    charge BLOB NOT NULL, bound_usd TEXT, candidate_usd TEXT, reason TEXT,
    PRIMARY KEY (trial, number)
) STRICT, WITHOUT ROWID;
