-- The cluster's nodes and the tokens that nodes join with.
CREATE TABLE nodes (
  name          text PRIMARY KEY,
  facts         jsonb NOT NULL,
  -- Of the key that signs of life are signed with; null: the cluster has it, and nobody joined it.
  key_hash      text,
  ready         boolean NOT NULL,
  lost          boolean NOT NULL,
  schedulable   boolean NOT NULL,
  removed       boolean NOT NULL,
  reason        text,
  last_drained  timestamptz,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL
);
CREATE INDEX nodes_newest ON nodes (created_at DESC, name DESC) WHERE NOT removed;

CREATE TABLE join_tokens (
  id          text PRIMARY KEY,
  label       text NOT NULL,
  expires_at  timestamptz NOT NULL,
  node        text,
  used_at     timestamptz,
  revoked_at  timestamptz,
  created_at  timestamptz NOT NULL
);
CREATE INDEX join_tokens_newest ON join_tokens (created_at DESC, id DESC);
