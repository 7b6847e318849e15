-- Who is let in: sessions, open and over.
CREATE TABLE sessions (
  id           text PRIMARY KEY,
  user_id      text NOT NULL,
  opened_at    timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  revoked_at   timestamptz
);
CREATE INDEX sessions_open_of_user ON sessions (user_id, opened_at DESC, id DESC) WHERE revoked_at IS NULL;
