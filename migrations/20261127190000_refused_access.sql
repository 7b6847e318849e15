-- Who asked for what is somebody else's and was told that it is not there: no fact, ids only, and thrown away when it is old.
CREATE TABLE telemetry.refused_access (
  id text NOT NULL CONSTRAINT refused_access_pkey PRIMARY KEY,
  at timestamptz NOT NULL, -- by the Clock
  user_id text NOT NULL, -- who asked
  owner_id text NOT NULL, -- whose it is
  method text NOT NULL,
  route text NOT NULL, -- the pattern, never the path
  kind text NOT NULL,
  thing_id text NOT NULL,
  address text, -- as the limits count it
  request_id text NOT NULL
);
CREATE INDEX refused_access_at ON telemetry.refused_access (at, id);
CREATE INDEX refused_access_user ON telemetry.refused_access (user_id, at);
CREATE INDEX refused_access_owner ON telemetry.refused_access (owner_id, at);

-- Entries come and go with age; nobody alters one.
CREATE TRIGGER refused_access_stays BEFORE UPDATE OR TRUNCATE ON telemetry.refused_access
  FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'minispod_app') THEN
    GRANT SELECT, INSERT, DELETE ON telemetry.refused_access TO minispod_app;
  END IF;
END
$$;
