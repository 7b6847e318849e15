-- The books, double-entry: every movement of a wallet is a transaction of at least two legs that add up to nothing.
-- Credits are positive, debits negative, whole rupiah. A wallet is what we owe a customer, so money paid in credits it
-- and debits gateway_clearing; a charge debits it and credits revenue; money given back credits it and debits refunds.
CREATE TABLE ledger_transactions (
  id              text PRIMARY KEY,
  position        bigint NOT NULL UNIQUE,
  event_id        text NOT NULL UNIQUE,
  user_id         text NOT NULL,
  kind            text NOT NULL,
  cause           text NOT NULL UNIQUE,
  amount          bigint NOT NULL CHECK (amount <> 0),
  -- How much of amount is money that was given and not paid in.
  promotional     bigint NOT NULL,
  balance_before  bigint NOT NULL,
  balance_after   bigint NOT NULL,
  counter_account text NOT NULL,
  topup_id        text,
  order_id        text,
  subscription_id text,
  period          integer,
  reason          text,
  day             date NOT NULL,
  created_at      timestamptz NOT NULL,
  CHECK (balance_after = balance_before + amount),
  CHECK (abs(promotional) <= abs(amount) AND promotional * sign(amount) >= 0)
);
CREATE INDEX ledger_transactions_of_user ON ledger_transactions (user_id, position);
CREATE INDEX ledger_transactions_by_day ON ledger_transactions (day, counter_account);

-- account: wallet/<user id> for what was paid in, promotional/<user id> for what was given, or one of our own by name.
CREATE TABLE ledger_legs (
  id             text PRIMARY KEY,
  transaction_id text NOT NULL REFERENCES ledger_transactions (id),
  account        text NOT NULL,
  amount         bigint NOT NULL CHECK (amount <> 0)
);
CREATE INDEX ledger_legs_of_transaction ON ledger_legs (transaction_id);

CREATE TABLE ledger_balances (
  account    text PRIMARY KEY,
  user_id    text,
  balance    bigint NOT NULL,
  entries    bigint NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE FUNCTION ledger_balance_check() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  booked text;
  legs   bigint;
  rest   numeric;
BEGIN
  IF TG_TABLE_NAME = 'ledger_transactions' THEN
    booked := NEW.id;
  ELSIF TG_OP = 'DELETE' THEN
    booked := OLD.transaction_id;
  ELSE
    booked := NEW.transaction_id;
  END IF;
  SELECT count(*), coalesce(sum(l.amount), 0) INTO legs, rest FROM ledger_legs l WHERE l.transaction_id = booked;
  IF legs < 2 OR rest <> 0 THEN
    RAISE EXCEPTION 'ledger transaction % has % legs that add up to %', booked, legs, rest
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transactions_balance AFTER INSERT OR UPDATE ON ledger_transactions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balance_check();
CREATE CONSTRAINT TRIGGER ledger_legs_balance AFTER INSERT OR UPDATE OR DELETE ON ledger_legs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balance_check();
