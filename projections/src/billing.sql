-- What a customer has, paid and owes. Amounts are whole rupiah.
CREATE TABLE wallets (
  user_id    text PRIMARY KEY,
  balance    bigint NOT NULL,
  -- What of it was given and not paid in.
  promotional bigint NOT NULL,
  currency   text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

-- One row per top-up; order_id is the order that was paid, else the latest attempt's.
CREATE TABLE topups (
  id              text PRIMARY KEY,
  user_id         text NOT NULL,
  amount          bigint NOT NULL,
  currency        text NOT NULL,
  status          text NOT NULL,
  order_id        text NOT NULL,
  attempt         integer NOT NULL,
  has_token       boolean NOT NULL,
  payment_type    text,
  transaction_id  text,
  under_review    boolean NOT NULL,
  taken_back      bigint NOT NULL,
  quarantine      text,
  paid_at         timestamptz,
  expires_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX topups_of_user ON topups (user_id, created_at DESC, id DESC);
CREATE INDEX topups_of_user_by_status ON topups (user_id, status, created_at DESC, id DESC);

CREATE TABLE topup_orders (
  order_id   text PRIMARY KEY,
  topup_id   text NOT NULL,
  attempt    integer NOT NULL,
  created_at timestamptz NOT NULL
);

-- What a customer sees as history. cause is the wallet entry's key and the invoice's, so the two find each other
-- whichever came first. Successful rows add up to the balance: TOPUP and REFUND in, SERVICE_PURCHASE out,
-- ADJUSTMENT signed.
CREATE TABLE transactions (
  id              text PRIMARY KEY,
  user_id         text NOT NULL,
  type            text NOT NULL,
  status          text NOT NULL,
  description     text NOT NULL,
  amount          bigint NOT NULL,
  currency        text NOT NULL,
  reference_id    text NOT NULL,
  reference_type  text NOT NULL,
  payment_gateway text NOT NULL,
  payment_method  text,
  cause           text NOT NULL,
  topup_id        text,
  subscription_id text,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX transactions_of_user ON transactions (user_id, created_at DESC, id DESC);
CREATE INDEX transactions_newest ON transactions (created_at DESC, id DESC);
CREATE INDEX transactions_by_type ON transactions (type, created_at DESC, id DESC);
CREATE INDEX transactions_of_subscription ON transactions (subscription_id, created_at DESC, id DESC)
  WHERE subscription_id IS NOT NULL;

-- number is null until the yearly book has given one.
CREATE TABLE invoices (
  id              text PRIMARY KEY,
  number          text,
  user_id         text NOT NULL,
  type            text NOT NULL,
  amount          bigint NOT NULL,
  currency        text NOT NULL,
  status          text NOT NULL,
  description     text NOT NULL,
  lines           jsonb NOT NULL,
  cause           text NOT NULL,
  topup_id        text,
  order_id        text,
  payment_type    text,
  subscription_id text,
  display_name    text,
  period_number   integer,
  period_start    timestamptz,
  period_end      timestamptz,
  due_date        timestamptz NOT NULL,
  issued_at       timestamptz,
  paid_at         timestamptz,
  void_reason     text,
  download_count  bigint NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX invoices_by_number ON invoices (number) WHERE number IS NOT NULL;
CREATE INDEX invoices_by_cause ON invoices (cause);
CREATE INDEX invoices_of_user ON invoices (user_id, created_at DESC, id DESC);
CREATE INDEX invoices_of_subscription ON invoices (subscription_id, created_at DESC, id DESC)
  WHERE subscription_id IS NOT NULL;
