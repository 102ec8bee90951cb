-- How much the calls of a trial differ, one by one and whichever way. Decimal as text; absent of trials
-- that ended before.
ALTER TABLE trial_ends ADD COLUMN moved_usd TEXT;
