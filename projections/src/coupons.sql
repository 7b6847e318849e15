-- Coupons and what customers made of them. Amounts are whole rupiah; worth is the event's own JSON.
CREATE TABLE coupons (
  id          text PRIMARY KEY,
  code        text NOT NULL,
  name        text NOT NULL,
  description text NOT NULL,
  kind        text NOT NULL,
  worth       jsonb NOT NULL,
  offering    text,
  variant     text,
  uses        integer NOT NULL,
  uses_each   integer NOT NULL,
  -- Uses that stand or are kept for somebody now.
  used        integer NOT NULL,
  was_used    boolean NOT NULL,
  status      text NOT NULL,
  valid_from  timestamptz NOT NULL,
  valid_until timestamptz,
  is_deleted  boolean NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX coupons_by_code ON coupons (code) WHERE NOT is_deleted;
CREATE INDEX coupons_newest ON coupons (created_at DESC, id DESC) WHERE NOT is_deleted;

-- One row per use. credit: what the wallet got; discount: what the sale cost less.
CREATE TABLE coupon_uses (
  id              text PRIMARY KEY,
  coupon_id       text NOT NULL,
  user_id         text NOT NULL,
  code            text NOT NULL,
  name            text NOT NULL,
  kind            text NOT NULL,
  credit          bigint,
  discount        bigint,
  subscription_id text,
  returned_at     timestamptz,
  created_at      timestamptz NOT NULL
);
CREATE INDEX coupon_uses_of_user ON coupon_uses (user_id, created_at DESC, id DESC);
CREATE INDEX coupon_uses_of_coupon ON coupon_uses (coupon_id, created_at DESC, id DESC);
CREATE INDEX coupon_uses_newest ON coupon_uses (created_at DESC, id DESC);
