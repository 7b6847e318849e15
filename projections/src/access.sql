-- Who is let in: sessions and API tokens, good and over. A token's name is wiped when its owner is forgotten.
CREATE TABLE sessions (
  id           text PRIMARY KEY,
  user_id      text NOT NULL,
  opened_at    timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  revoked_at   timestamptz
);
CREATE INDEX sessions_open_of_user ON sessions (user_id, opened_at DESC, id DESC) WHERE revoked_at IS NULL;

CREATE TABLE api_tokens (
  id         text PRIMARY KEY,
  user_id    text NOT NULL,
  name       text NOT NULL,
  scopes     jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX api_tokens_good_of_user ON api_tokens (user_id, created_at DESC, id DESC) WHERE revoked_at IS NULL;
