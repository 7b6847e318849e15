-- Who runs what: one row per subscription and one per instance.
-- charged: the first period is paid (or free); a request that was refused before that is nobody's subscription.
CREATE TABLE subscriptions (
  id              text PRIMARY KEY,
  user_id         text NOT NULL,
  plan_id         text NOT NULL,
  instance_id     text NOT NULL,
  status          text NOT NULL,
  charged         boolean NOT NULL,
  offering        text NOT NULL,
  variant         text NOT NULL,
  display_name    text NOT NULL,
  price           bigint NOT NULL,
  -- How much less the current period cost, and by which coupon.
  discount        bigint NOT NULL,
  coupon_id       text,
  cycle           text NOT NULL,
  docker_image    text NOT NULL,
  subdomain       text NOT NULL,
  overrides       jsonb NOT NULL,
  auto_renew      boolean NOT NULL,
  external_url    text,
  period_number   integer NOT NULL,
  start_date      timestamptz NOT NULL,
  period_start    timestamptz NOT NULL,
  expires_at      timestamptz NOT NULL,
  activated_at    timestamptz,
  cancel_at       timestamptz,
  cancel_reason   text,
  grace_until     timestamptz,
  next_plan_id    text,
  data_until      timestamptz,
  failure         text,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX subscriptions_of_user ON subscriptions (user_id, created_at DESC, id DESC) WHERE charged;
CREATE INDEX subscriptions_live ON subscriptions (user_id, offering) WHERE status <> 'CANCELLED';
CREATE INDEX subscriptions_newest ON subscriptions (created_at DESC, id DESC) WHERE charged;
CREATE INDEX subscriptions_by_status ON subscriptions (status, created_at DESC, id DESC) WHERE charged;
CREATE INDEX subscriptions_of_plan ON subscriptions (plan_id, created_at DESC, id DESC) WHERE charged;

CREATE TABLE instances (
  id                text PRIMARY KEY,
  subscription_id   text NOT NULL,
  user_id           text NOT NULL,
  offering          text NOT NULL,
  variant           text NOT NULL,
  display_name      text NOT NULL,
  docker_image      text NOT NULL,
  container_port    integer NOT NULL,
  status            text NOT NULL,
  generation        integer NOT NULL,
  pod_name          text,
  namespace         text,
  internal_url      text,
  external_url      text,
  simulated         boolean NOT NULL,
  cpu_request       text NOT NULL,
  cpu_limit         text NOT NULL,
  mem_request       text NOT NULL,
  mem_limit         text NOT NULL,
  overrides         jsonb NOT NULL,
  subdomain         text NOT NULL,
  volume_claim_name text,
  volume_status     text NOT NULL,
  volume_size       text,
  volume_mount_path text,
  last_error        text,
  -- The cluster's own words: for administrators.
  hindrance         text,
  last_status_sync  timestamptz,
  ready_at          timestamptz,
  restart_count     integer NOT NULL,
  reset_count       integer NOT NULL,
  last_reset_at     timestamptz,
  -- What of it differs from what was applied: for administrators.
  drift_state       text NOT NULL,
  drift_objects     jsonb NOT NULL,
  drift_since       timestamptz,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL
);
CREATE INDEX instances_of_subscription ON instances (subscription_id, created_at DESC, id DESC);
CREATE INDEX instances_of_user ON instances (user_id, created_at DESC, id DESC);
CREATE INDEX instances_newest ON instances (created_at DESC, id DESC);
CREATE INDEX instances_by_status ON instances (status, created_at DESC, id DESC);
CREATE INDEX instances_by_drift ON instances (drift_state, created_at DESC, id DESC);
CREATE INDEX instances_of_offering ON instances (offering, created_at DESC, id DESC);
