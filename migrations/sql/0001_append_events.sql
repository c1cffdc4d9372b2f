-- The only way into the table of events: one call, one round trip, one transaction.
--
-- The caller has planned a batch against what it believes of the log: the version of some streams
-- (required_versions, null where any will do), and that some ids are not in it (unknown_ids). Under the lock
-- the belief is checked. If it holds, everything is stored; if not, nothing is, and the answer says how
-- things are, so that the caller plans again. An empty batch is a way to ask under the lock.
--
-- Each step is a statement of its own: under READ COMMITTED each takes a snapshot after the lock was granted,
-- where a single CTE would read from one taken before it.
CREATE FUNCTION {schema}.append_events(
    stream_categories text[], stream_ids uuid[], required_versions bigint[],  -- one entry for each stream
    unknown_ids uuid[],
    stream_indexes integer[],  -- from here on one entry for each event, in order; the index counts from 1
    event_ids uuid[], types text[], schema_versions integer[], payloads bytea[],
    occurred_ats bigint[], received_ats bigint[], actors text[],
    correlation_ids uuid[], causation_ids uuid[], content_hashes bytea[],
    OUT stored boolean, OUT first_position bigint, OUT recorded_at bigint,
    OUT stream_versions bigint[],  -- of each stream, before this batch
    OUT known_ids uuid[],  -- those of unknown_ids that are stored, with where they lie and what they say
    OUT known_positions bigint[], OUT known_versions bigint[], OUT known_recorded_ats bigint[],
    OUT known_categories text[], OUT known_stream_ids uuid[],
    OUT known_types text[], OUT known_schema_versions integer[], OUT known_payloads bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = {schema}, pg_temp
SET enable_seqscan = off  -- plans are cached from the first calls, when the table is small
AS $body$
#variable_conflict use_variable
DECLARE
    head bigint;
    previous_recorded_at bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_events needs READ COMMITTED, found %', current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state';
    END IF;

    PERFORM pg_advisory_xact_lock({lock_key});

    SELECT e.position, e.recorded_at INTO head, previous_recorded_at
    FROM events e ORDER BY e.position DESC LIMIT 1;
    first_position := coalesce(head, 0) + 1;
    recorded_at := greatest(
        (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint, coalesce(previous_recorded_at, 0));

    SELECT coalesce(array_agg(e.event_id), '{{}}'), coalesce(array_agg(e.position), '{{}}'),
           coalesce(array_agg(e.stream_version), '{{}}'), coalesce(array_agg(e.recorded_at), '{{}}'),
           coalesce(array_agg(e.stream_category), '{{}}'), coalesce(array_agg(e.stream_id), '{{}}'),
           coalesce(array_agg(e.type), '{{}}'), coalesce(array_agg(e.schema_version), '{{}}'),
           coalesce(array_agg(e.payload), '{{}}')
    INTO known_ids, known_positions, known_versions, known_recorded_ats, known_categories, known_stream_ids,
         known_types, known_schema_versions, known_payloads
    FROM events e WHERE e.event_id = ANY (unknown_ids);

    SELECT coalesce(array_agg(coalesce(e.stream_version, 0) ORDER BY s.ordinal), '{{}}')
    INTO stream_versions
    FROM unnest(stream_categories, stream_ids) WITH ORDINALITY AS s (category, id, ordinal)
    LEFT JOIN LATERAL (
        SELECT x.stream_version FROM events x
        WHERE x.stream_id = s.id AND x.stream_category = s.category
        ORDER BY x.stream_version DESC LIMIT 1
    ) e ON true;

    stored := cardinality(known_ids) = 0 AND NOT EXISTS (
        SELECT FROM unnest(required_versions, stream_versions) AS v (required, actual)
        WHERE v.required <> v.actual);
    IF NOT stored OR cardinality(event_ids) = 0 THEN
        RETURN;
    END IF;

    INSERT INTO events (
        position, event_id, stream_category, stream_id, stream_version, type, schema_version, payload,
        occurred_at, received_at, recorded_at, actor, correlation_id, causation_id, leaf_hash)
    SELECT n.position, n.event_id, stream_categories[n.stream_index], stream_ids[n.stream_index], n.stream_version,
           n.type, n.schema_version, n.payload, n.occurred_at, n.received_at, recorded_at, n.actor,
           n.correlation_id, n.causation_id,
           sha256('\x00'::bytea || n.content_hash
                  || int8send(n.position) || int8send(n.stream_version) || int8send(recorded_at))
    FROM (
        SELECT u.*, first_position + u.ordinal - 1 AS position,
               stream_versions[u.stream_index]
               + row_number() OVER (PARTITION BY u.stream_index ORDER BY u.ordinal) AS stream_version
        FROM unnest(stream_indexes, event_ids, types, schema_versions, payloads, occurred_ats, received_ats,
                    actors, correlation_ids, causation_ids, content_hashes) WITH ORDINALITY
             AS u (stream_index, event_id, type, schema_version, payload, occurred_at, received_at,
                   actor, correlation_id, causation_id, content_hash, ordinal)
    ) n;
END
$body$;
