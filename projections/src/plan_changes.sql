-- Changes of plan: one row per change of one subscription, those that are scheduled included.
CREATE TABLE plan_changes (
  id                text PRIMARY KEY,
  subscription_id   text NOT NULL,
  number            integer NOT NULL,
  user_id           text NOT NULL,
  change_type       text NOT NULL,
  status            text NOT NULL,
  from_plan_id      text NOT NULL,
  from_display_name text NOT NULL,
  from_variant      text NOT NULL,
  from_price        bigint NOT NULL,
  to_plan_id        text NOT NULL,
  to_display_name   text NOT NULL,
  to_variant        text NOT NULL,
  to_price          bigint NOT NULL,
  figures           jsonb,
  initiated_by      text,
  failure           text,
  initiated_at      timestamptz NOT NULL,
  due_at            timestamptz,
  completed_at      timestamptz,
  rolled_back_at    timestamptz,
  updated_at        timestamptz NOT NULL
);
CREATE INDEX plan_changes_of_subscription ON plan_changes (subscription_id, number DESC);
