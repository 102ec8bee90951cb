-- What a correction gives back is of the charge, or of what an earlier correction took.
ALTER TABLE corrections ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
