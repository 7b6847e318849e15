-- What was measured, and what nodes say of themselves: no facts, never replayed, and thrown away when it is old.
CREATE SCHEMA telemetry;

-- One row per instance and minute: whoever measures the same minute a second time writes nothing.
CREATE TABLE telemetry.usage_samples (
  instance_id text NOT NULL,
  at timestamptz NOT NULL, -- the beginning of the minute
  cpu_millis bigint NOT NULL CHECK (cpu_millis >= 0),
  memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0),
  CONSTRAINT usage_samples_pkey PRIMARY KEY (instance_id, at)
);
CREATE INDEX usage_samples_at ON telemetry.usage_samples (at);

-- The same by hour, for graphs over months; written with each sample.
CREATE TABLE telemetry.usage_hours (
  instance_id text NOT NULL,
  hour timestamptz NOT NULL,
  samples integer NOT NULL,
  cpu_millis_sum numeric NOT NULL,
  cpu_millis_max bigint NOT NULL,
  memory_bytes_sum numeric NOT NULL,
  memory_bytes_max bigint NOT NULL,
  CONSTRAINT usage_hours_pkey PRIMARY KEY (instance_id, hour)
);
CREATE INDEX usage_hours_hour ON telemetry.usage_hours (hour);

-- The last sign of life of each node that joined by itself.
CREATE TABLE telemetry.node_heartbeats (
  name text NOT NULL CONSTRAINT node_heartbeats_pkey PRIMARY KEY,
  at timestamptz NOT NULL, -- by the Clock
  ready boolean NOT NULL,
  allocated_cpu_millis bigint,
  allocated_memory_mb bigint,
  allocated_storage_gb bigint,
  current_pods integer
);

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'minispod_app') THEN
    GRANT USAGE ON SCHEMA telemetry TO minispod_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA telemetry TO minispod_app;
  END IF;
END
$$;
