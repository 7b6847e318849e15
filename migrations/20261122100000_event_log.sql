-- The event log itself: what has happened, in which order it counts, who holds which claim, and the one function that appends.
CREATE SCHEMA log;

CREATE SEQUENCE log.event_ins_seq CACHE 1; -- CACHE 1 is part of the proof that nothing is numbered late

-- Plain SQL default, no trigger: whoever inserts an event holds 7001 shared until its transaction ends.
CREATE FUNCTION log.next_ins_seq() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock_shared(7001);
  SELECT nextval('log.event_ins_seq');
$$;

CREATE TABLE log.events (
  aggregate_type text NOT NULL CHECK (aggregate_type ~ '^[a-z0-9_]{1,64}$'),
  aggregate_id text NOT NULL CHECK (aggregate_id ~ '^[a-z0-9_-]{1,64}$'),
  sequence bigint NOT NULL CHECK (sequence > 0),
  event_type text NOT NULL,
  event_version text NOT NULL,
  payload jsonb NOT NULL,
  metadata jsonb NOT NULL,
  ins_seq bigint NOT NULL DEFAULT log.next_ins_seq(),
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT events_pkey PRIMARY KEY (aggregate_type, aggregate_id, sequence),
  CONSTRAINT events_ins_seq_key UNIQUE (ins_seq)
);

-- Written by the numbering only: position = JetStream sequence. No foreign key, so old events may be archived later.
CREATE TABLE log.event_log (
  position bigint NOT NULL CONSTRAINT event_log_pkey PRIMARY KEY CHECK (position > 0),
  ins_seq bigint NOT NULL CONSTRAINT event_log_ins_seq_key UNIQUE,
  event_id text NOT NULL CONSTRAINT event_log_event_id_key UNIQUE,
  chain bytea NOT NULL CHECK (octet_length(chain) = 32),
  numbered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row: how far the numbering got. `timeline` is raised by an operator after a restore to an older point.
CREATE TABLE log.cursor (
  id smallint PRIMARY KEY CHECK (id = 1),
  position bigint NOT NULL,
  ins_seq bigint NOT NULL,
  chain bytea NOT NULL CHECK (octet_length(chain) = 32),
  timeline integer NOT NULL DEFAULT 1
);
INSERT INTO log.cursor (id, position, ins_seq, chain) VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'));

-- Names that one aggregate holds ('hold') or was the first to use ('once'); either can be given back.
CREATE TABLE log.claims (
  key text NOT NULL CONSTRAINT claims_pkey PRIMARY KEY,
  holder_type text NOT NULL,
  holder_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('hold', 'once'))
);
CREATE INDEX claims_holder ON log.claims (holder_type, holder_id);

-- Everything with an ins_seq at or below the answer has committed or never will. NULL: some append took longer than 50 ms.
-- One autocommit call: a frozen caller can never keep the exclusive lock.
CREATE FUNCTION log.barrier() RETURNS bigint LANGUAGE plpgsql VOLATILE SET lock_timeout = '50ms' AS $$
DECLARE
  h bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7001);
  SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO h FROM log.event_ins_seq;
  RETURN h;
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END $$;

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %.% is refused: what has happened stays', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
  FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER event_log_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON log.event_log
  FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
