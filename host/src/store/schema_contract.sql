-- The version of the contract that a release's component speaks. There was one until now.
ALTER TABLE releases ADD COLUMN contract TEXT NOT NULL DEFAULT '1.0.0';
