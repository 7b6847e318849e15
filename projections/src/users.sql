-- Who has an account. Names and addresses stand here in the clear and are wiped when a person is forgotten.
CREATE TABLE users (
  id         text PRIMARY KEY,
  name       text NOT NULL,
  email      text NOT NULL,
  role       text NOT NULL,
  is_active  boolean NOT NULL,
  forgotten  boolean NOT NULL,
  email_verified boolean NOT NULL,
  two_factor boolean NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX users_newest ON users (created_at DESC, id DESC);
CREATE INDEX users_by_role ON users (role, created_at DESC, id DESC);
CREATE INDEX users_by_activity ON users (is_active, created_at DESC, id DESC);
