-- The append as one round trip: receipts, claims, states, timers and vault rows in key order, and the events last.
--
-- A claim that had to wait after the events were inserted would hold up the barrier while it waits.
-- SQLSTATEs the executor understands: MP002 an aggregate is at another version, MP004 a claim is held by another aggregate
-- (detail: key, line feed, holder's id), MP005 a once-key is used or a required claim is not held (detail: key).
CREATE FUNCTION log.append(
  types text[], ids text[], sequences bigint[], event_types text[], event_versions text[], payloads text[], metadatas text[],
  side jsonb
) RETURNS TABLE (ord bigint, new_ins_seq bigint, taken_at timestamptz) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  bad record;
  new_keys text[];
BEGIN
  IF side IS NOT NULL THEN
    IF side ? 'receipts' THEN
      INSERT INTO ops.receipts (scope, key, fingerprint, aggregate_type, aggregate_id, outcome, code, kind, message,
                                version, event_count, below_ins_seq, created_at)
      SELECT r.scope, r.key, decode(r.fingerprint, 'hex'), r.aggregate_type, r.aggregate_id, r.outcome, r.code, r.kind,
             r.message, r.version, r.event_count, (SELECT last_value FROM log.event_ins_seq), r.created_at
      FROM jsonb_to_recordset(side -> 'receipts') AS r (scope text, key text, fingerprint text, aggregate_type text,
           aggregate_id text, outcome text, code text, kind text, message text, version bigint, event_count integer,
           created_at timestamptz)
      ORDER BY r.scope, r.key;
    END IF;
    IF side ? 'requires' THEN
      FOR bad IN
        SELECT r.key FROM jsonb_to_recordset(side -> 'requires') AS r (key text, holder_type text, holder_id text)
        WHERE NOT EXISTS (SELECT FROM log.claims c WHERE c.key = r.key AND c.holder_type = r.holder_type
                          AND c.holder_id = r.holder_id)
      LOOP
        RAISE EXCEPTION 'a required claim is not held' USING ERRCODE = 'MP005', DETAIL = bad.key;
      END LOOP;
    END IF;
    IF side ? 'claims' THEN
      WITH taken AS (
        INSERT INTO log.claims (key, kind, holder_type, holder_id)
        SELECT c.key, c.kind, c.holder_type, c.holder_id
        FROM jsonb_to_recordset(side -> 'claims') AS c (key text, kind text, holder_type text, holder_id text)
        ORDER BY c.key
        ON CONFLICT (key) DO NOTHING RETURNING key
      )
      SELECT coalesce(array_agg(key), '{}') INTO new_keys FROM taken;
      FOR bad IN
        SELECT c.* FROM jsonb_to_recordset(side -> 'claims')
          AS c (key text, kind text, holder_type text, holder_id text)
        WHERE c.key <> ALL (new_keys) ORDER BY c.kind DESC, c.key
      LOOP
        IF bad.kind = 'once' THEN
          RAISE EXCEPTION 'once-key is used' USING ERRCODE = 'MP005', DETAIL = bad.key;
        END IF;
        PERFORM FROM log.claims c
          WHERE c.key = bad.key AND c.holder_type = bad.holder_type AND c.holder_id = bad.holder_id;
        IF NOT FOUND THEN
          RAISE EXCEPTION 'claim is held' USING ERRCODE = 'MP004',
            DETAIL = bad.key || E'\n' || coalesce((SELECT c.holder_id FROM log.claims c WHERE c.key = bad.key), '');
        END IF;
      END LOOP;
    END IF;
    IF side ? 'releases' THEN
      PERFORM FROM log.claims c
        WHERE c.key IN (SELECT r.key FROM jsonb_to_recordset(side -> 'releases') AS r (key text))
        ORDER BY c.key FOR UPDATE;
      DELETE FROM log.claims c
        USING jsonb_to_recordset(side -> 'releases') AS r (key text, holder_type text, holder_id text)
        WHERE c.key = r.key AND c.holder_type = r.holder_type AND c.holder_id = r.holder_id;
    END IF;
    IF side ? 'states' THEN
      INSERT INTO ops.aggregate_state AS s (aggregate_type, aggregate_id, fingerprint, version, state)
      SELECT n.aggregate_type, n.aggregate_id, n.fingerprint, n.version, n.state
      FROM jsonb_to_recordset(side -> 'states')
        AS n (aggregate_type text, aggregate_id text, fingerprint text, version bigint, state jsonb)
      ORDER BY n.aggregate_type, n.aggregate_id
      ON CONFLICT (aggregate_type, aggregate_id)
      DO UPDATE SET fingerprint = excluded.fingerprint, version = excluded.version, state = excluded.state
      WHERE s.version < excluded.version OR s.fingerprint <> excluded.fingerprint;
    END IF;
    IF side ? 'timers' THEN
      INSERT INTO ops.timers AS t (id, due, aggregate_type, aggregate_id, command, correlation_id, causation_id)
      SELECT n.id, n.due, n.aggregate_type, n.aggregate_id, n.command, n.correlation_id, n.causation_id
      FROM jsonb_to_recordset(side -> 'timers') AS n (id text, due timestamptz, aggregate_type text, aggregate_id text,
           command jsonb, correlation_id text, causation_id text)
      ORDER BY n.id
      ON CONFLICT (id) DO UPDATE SET due = excluded.due, aggregate_type = excluded.aggregate_type,
        aggregate_id = excluded.aggregate_id, command = excluded.command, correlation_id = excluded.correlation_id,
        causation_id = excluded.causation_id;
    END IF;
    IF side ? 'cancelled' THEN
      PERFORM FROM ops.timers t WHERE t.id IN (SELECT jsonb_array_elements_text(side -> 'cancelled'))
        ORDER BY t.id FOR UPDATE;
      DELETE FROM ops.timers t WHERE t.id IN (SELECT jsonb_array_elements_text(side -> 'cancelled'));
    END IF;
    IF side ? 'data_keys' THEN
      INSERT INTO vault.data_keys (person, wrapped)
      SELECT k.person, decode(k.wrapped, 'hex')
      FROM jsonb_to_recordset(side -> 'data_keys') AS k (person text, wrapped text) ORDER BY k.person;
    END IF;
    IF side ? 'secrets' THEN
      INSERT INTO vault.secrets (owner, name, sealed)
      SELECT v.owner, v.name, decode(v.sealed, 'hex')
      FROM jsonb_to_recordset(side -> 'secrets') AS v (owner text, name text, sealed text) ORDER BY v.owner, v.name
      ON CONFLICT (owner, name) DO UPDATE SET sealed = excluded.sealed, updated_at = clock_timestamp();
    END IF;
    IF side ? 'removed_secrets' THEN
      DELETE FROM vault.secrets s
        USING jsonb_to_recordset(side -> 'removed_secrets') AS v (owner text, name text)
        WHERE s.owner = v.owner AND s.name = v.name;
    END IF;
    IF side ? 'versions' THEN
      PERFORM FROM jsonb_to_recordset(side -> 'versions') AS v (aggregate_type text, aggregate_id text, version bigint)
        WHERE v.version <> coalesce((SELECT max(e.sequence) FROM log.events e
          WHERE e.aggregate_type = v.aggregate_type AND e.aggregate_id = v.aggregate_id), 0);
      IF FOUND THEN
        RAISE EXCEPTION 'an aggregate has moved on' USING ERRCODE = 'MP002';
      END IF;
    END IF;
  END IF;

  IF cardinality(types) > 0 THEN
    -- The primary key refuses a sequence that is taken; this refuses one that would leave a hole, as a process would
    -- that remembers more than a database which was failed over to a late replica.
    PERFORM FROM (
      SELECT n.aggregate_type, n.aggregate_id, min(n.sequence) AS first
      FROM unnest(types, ids, sequences) AS n (aggregate_type, aggregate_id, sequence) GROUP BY 1, 2
    ) f WHERE f.first > 1 AND NOT EXISTS (
      SELECT FROM log.events e WHERE e.aggregate_type = f.aggregate_type AND e.aggregate_id = f.aggregate_id
        AND e.sequence = f.first - 1);
    IF FOUND THEN
      RAISE EXCEPTION 'an aggregate is not as far' USING ERRCODE = 'MP002';
    END IF;
    RETURN QUERY
      WITH incoming AS (
        SELECT * FROM unnest(types, ids, sequences, event_types, event_versions, payloads, metadatas) WITH ORDINALITY
          AS n (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, place)
      ), stored AS (
        INSERT INTO log.events AS e (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload::jsonb, metadata::jsonb
        FROM incoming ORDER BY place
        RETURNING e.aggregate_type, e.aggregate_id, e.sequence, e.ins_seq, e.recorded_at
      )
      SELECT row_number() OVER (ORDER BY ins_seq), ins_seq, recorded_at FROM stored ORDER BY ins_seq;
  END IF;
END $$;

-- The role the services may run under. Skipped where the migrating user may not create roles.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'minispod_app') THEN
    CREATE ROLE minispod_app NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was migrated at the same time
  WHEN insufficient_privilege THEN RAISE NOTICE 'role minispod_app is not created: no permission';
END $$;
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'minispod_app') THEN
    GRANT USAGE ON SCHEMA log, vault, ops TO minispod_app;
    GRANT SELECT, INSERT ON log.events, log.event_log TO minispod_app;
    GRANT SELECT, INSERT, DELETE ON log.claims TO minispod_app;
    GRANT UPDATE (holder_id) ON log.claims TO minispod_app; -- row locks need some UPDATE right
    GRANT SELECT, UPDATE ON log.cursor TO minispod_app;
    GRANT SELECT, USAGE ON SEQUENCE log.event_ins_seq, ops.effect_ord TO minispod_app;
    GRANT SELECT, INSERT, UPDATE ON vault.data_keys TO minispod_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON vault.secrets TO minispod_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops TO minispod_app;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA log TO minispod_app;
  END IF;
END $$;
