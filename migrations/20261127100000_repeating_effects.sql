-- An effect that has run and is to run again (polling the payment gateway for weeks) is finished as far as floors go:
-- while it waits, what is older than it may be cleaned away.
ALTER TABLE ops.effects ADD COLUMN repeats boolean NOT NULL DEFAULT false;
