-- The hosts that customers brought to their instances.
CREATE TABLE custom_domains (
  -- Instance and host.
  id               text PRIMARY KEY,
  instance_id      text NOT NULL,
  subscription_id  text NOT NULL,
  user_id          text NOT NULL,
  host             text NOT NULL,
  challenge        text NOT NULL,
  status           text NOT NULL,
  preferred        boolean NOT NULL,
  -- What the last look found, or why it was rejected.
  finding          text,
  removed          boolean NOT NULL,
  expires_at       timestamptz NOT NULL,
  verified_at      timestamptz,
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL
);
CREATE INDEX custom_domains_of_instance ON custom_domains (instance_id, created_at) WHERE NOT removed;
CREATE INDEX custom_domains_by_host ON custom_domains (host) WHERE NOT removed;
