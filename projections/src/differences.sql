-- Where what is sold and what the cluster has differ, or have differed: one row per difference, as last found.
CREATE TABLE differences (
  id               text PRIMARY KEY,
  kind             text NOT NULL,
  -- Null: no fact knows whose it is.
  instance_id      text,
  subscription_id  text,
  user_id          text,
  object           text,
  detail           text NOT NULL,
  state            text NOT NULL,
  found_at         timestamptz NOT NULL,
  deadline         timestamptz NOT NULL,
  overdue_at       timestamptz,
  resolved_at      timestamptz
);
CREATE INDEX differences_newest ON differences (found_at DESC, id DESC);
CREATE INDEX differences_unresolved ON differences (id) WHERE state <> 'RESOLVED';
