-- Bank transfers with their proofs, and what administrators made of them. Amounts are whole rupiah.
CREATE TABLE manual_topups (
  id          text PRIMARY KEY,
  user_id     text NOT NULL,
  amount      bigint NOT NULL,
  status      text NOT NULL,
  digest      text NOT NULL,
  media_type  text NOT NULL,
  size        bigint NOT NULL,
  endorsed_by text,
  decided_by  text,
  -- Why it was refused; null once the person is forgotten.
  reason      text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE INDEX manual_topups_of_user ON manual_topups (user_id, created_at DESC, id DESC);
CREATE INDEX manual_topups_by_status ON manual_topups (status, created_at DESC, id DESC);
CREATE INDEX manual_topups_newest ON manual_topups (created_at DESC, id DESC);
