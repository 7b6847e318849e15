-- What active subscriptions bring in every month (MRR), how it moved, and renewals that were not paid.
-- monthly: the price of a period by its months, half up; a yearly price is a twelfth of it.
CREATE TABLE recurring_subscriptions (
  id         text PRIMARY KEY,
  user_id    text NOT NULL,
  offering   text NOT NULL,
  months     integer NOT NULL,
  price      bigint NOT NULL,
  monthly    bigint NOT NULL,
  active     boolean NOT NULL,
  was_active boolean NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX recurring_subscriptions_active ON recurring_subscriptions (offering) WHERE active;

CREATE TABLE recurring_movements (
  id              text PRIMARY KEY,
  subscription_id text NOT NULL,
  user_id         text NOT NULL,
  offering        text NOT NULL,
  kind            text NOT NULL,
  before          bigint NOT NULL,
  after           bigint NOT NULL,
  day             date NOT NULL,
  created_at      timestamptz NOT NULL
);
CREATE INDEX recurring_movements_by_day ON recurring_movements (day, kind);

-- One row per period whose renewal was refused. outcome: null while it is owed, then PAID or ENDED.
CREATE TABLE failed_renewals (
  id              text PRIMARY KEY,
  subscription_id text NOT NULL,
  user_id         text NOT NULL,
  period          integer NOT NULL,
  amount          bigint NOT NULL,
  code            text NOT NULL,
  attempts        integer NOT NULL,
  outcome         text,
  failed_at       timestamptz NOT NULL,
  last_failed_at  timestamptz NOT NULL,
  ended_at        timestamptz
);
CREATE INDEX failed_renewals_newest ON failed_renewals (failed_at DESC, id DESC);
CREATE INDEX failed_renewals_of_subscription ON failed_renewals (subscription_id);
