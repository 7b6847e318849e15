-- What the nodes that take pods give, as it was last measured: no fact, and one row.
CREATE TABLE telemetry.cluster_room (
  single boolean NOT NULL DEFAULT true CONSTRAINT cluster_room_pkey PRIMARY KEY CHECK (single),
  at timestamptz NOT NULL, -- by the Clock
  cpu_millis bigint NOT NULL CHECK (cpu_millis >= 0),
  memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0)
);

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'minispod_app') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON telemetry.cluster_room TO minispod_app;
  END IF;
END
$$;
