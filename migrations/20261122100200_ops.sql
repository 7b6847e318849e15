-- What the running system must remember besides the facts: answers given, work meant and done, places reached.
CREATE SCHEMA ops;

-- The outcome of a keyed command; a repeat is answered from it. Never a body.
CREATE TABLE ops.receipts (
  scope text NOT NULL,
  key text NOT NULL,
  fingerprint bytea,
  aggregate_type text NOT NULL,
  aggregate_id text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('done', 'refused', 'claim_taken')),
  code text,
  kind text,
  message text,
  version bigint NOT NULL,
  event_count integer NOT NULL,
  below_ins_seq bigint NOT NULL, -- the insertion sequence when the receipt was written; its own events come after
  created_at timestamptz NOT NULL, -- by the Clock
  CONSTRAINT receipts_pkey PRIMARY KEY (scope, key)
);
CREATE INDEX receipts_created_at ON ops.receipts (created_at);

CREATE TABLE ops.timers (
  id text NOT NULL CONSTRAINT timers_pkey PRIMARY KEY,
  due timestamptz NOT NULL,
  aggregate_type text NOT NULL,
  aggregate_id text NOT NULL,
  command jsonb NOT NULL,
  correlation_id text NOT NULL,
  causation_id text NOT NULL
);
CREATE INDEX timers_due ON ops.timers (due, id);

CREATE TABLE ops.checkpoints (
  name text NOT NULL CONSTRAINT checkpoints_pkey PRIMARY KEY,
  position bigint NOT NULL,
  ins_seq bigint NOT NULL,
  fence bigint NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Expiry is compared with the database's own clock: it is the only one that all holders share.
CREATE TABLE ops.leases (
  name text NOT NULL CONSTRAINT leases_pkey PRIMARY KEY,
  holder text NOT NULL,
  fence bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE SEQUENCE ops.effect_ord CACHE 1;
CREATE TABLE ops.effects (
  reactor text NOT NULL,
  key text NOT NULL,
  ord bigint NOT NULL DEFAULT nextval('ops.effect_ord'),
  lane text NOT NULL,
  kind text NOT NULL,
  payload jsonb NOT NULL,
  position bigint, -- of the event that asked for it; NULL when begun in-line before the event was numbered
  not_before timestamptz NOT NULL, -- by the Clock
  state text NOT NULL DEFAULT 'intended' CHECK (state IN ('intended', 'parked', 'done', 'skipped')),
  attempts integer NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  holder text,
  lease_until timestamptz, -- by the database's clock
  last_error text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT effects_pkey PRIMARY KEY (reactor, key)
);
CREATE INDEX effects_open_lanes ON ops.effects (reactor, lane, ord) WHERE state IN ('intended', 'parked');
CREATE INDEX effects_due ON ops.effects (reactor, not_before, ord) WHERE state = 'intended';
CREATE INDEX effects_finished ON ops.effects (reactor, updated_at) WHERE state IN ('done', 'skipped');

CREATE TABLE ops.inbox (
  id text NOT NULL CONSTRAINT inbox_pkey PRIMARY KEY, -- SHA-256 of the body, hexadecimal
  source text NOT NULL,
  sealed bytea NOT NULL, -- body and headers
  received_at timestamptz NOT NULL,
  mark text NOT NULL DEFAULT 'received',
  marked_at timestamptz
);
CREATE INDEX inbox_by_mark ON ops.inbox (mark, received_at);

-- A cache that may be emptied at any time; another fingerprint means other code wrote it.
CREATE TABLE ops.aggregate_state (
  aggregate_type text NOT NULL,
  aggregate_id text NOT NULL,
  fingerprint text NOT NULL,
  version bigint NOT NULL,
  state jsonb NOT NULL,
  CONSTRAINT aggregate_state_pkey PRIMARY KEY (aggregate_type, aggregate_id)
);
