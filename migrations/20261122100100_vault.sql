-- Keys and secrets, each sealed by the process before it arrives: the database alone opens nothing.
CREATE SCHEMA vault;

-- One data key per person. Forgetting a person empties the key and keeps the row, so no new key is ever made for them.
CREATE TABLE vault.data_keys (
  person text NOT NULL CONSTRAINT data_keys_pkey PRIMARY KEY,
  wrapped bytea,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  forgotten_at timestamptz,
  CHECK ((wrapped IS NULL) = (forgotten_at IS NOT NULL))
);

CREATE TABLE vault.secrets (
  owner text NOT NULL CHECK (length(owner) BETWEEN 1 AND 200),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  sealed bytea NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT secrets_pkey PRIMARY KEY (owner, name)
);
