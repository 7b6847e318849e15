-- What the refund desk was asked for. Amounts are whole rupiah.
CREATE TABLE refunds (
  -- The refund key.
  id             text PRIMARY KEY,
  topup_id       text NOT NULL,
  order_id       text NOT NULL,
  user_id        text NOT NULL,
  amount         bigint NOT NULL,
  method         text NOT NULL,
  payment_type   text NOT NULL,
  status         text NOT NULL,
  -- Null once the person is forgotten.
  reason         text,
  needs_approval boolean NOT NULL,
  requested_by   text NOT NULL,
  approved_by    text,
  declined_by    text,
  -- Why it was declined or failed.
  outcome        text,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL
);
CREATE INDEX refunds_newest ON refunds (created_at DESC, id DESC);
CREATE INDEX refunds_by_status ON refunds (status, created_at DESC, id DESC);
CREATE INDEX refunds_of_user ON refunds (user_id);
