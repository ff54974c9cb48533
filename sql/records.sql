-- name: RecordLookup :one
-- RecordLookup reads the record or lease of a key and the time by the clock of
-- the server at this very moment, by which the reader judges what is over. The
-- times come as they are: to compute with them here would cost the server more
-- than to find the row.
-- Lock: none, it never waits for another transaction.
-- Index: pgidem_records_pkey, one row.
SELECT
    attempt_id,
    request_hash,
    format,
    status,
    header,
    body,
    stored_at,
    expires_at,
    forgotten_at,
    leased_until,
    clock_timestamp()::timestamptz AS looked_at
FROM pgidem_records
WHERE key = sqlc.arg(key)::text;

-- name: RecordLookupText :one
-- RecordLookupText is RecordLookup with its times as numbers, microseconds since
-- 1970, 0 when absent: for connections whose results come as text, in which a
-- session can write a time in many ways.
-- Lock: none, it never waits for another transaction.
-- Index: pgidem_records_pkey, one row.
SELECT
    attempt_id,
    request_hash,
    format,
    status,
    header,
    body,
    COALESCE((extract(epoch FROM stored_at) * 1000000)::bigint, 0)::bigint AS stored_at,
    COALESCE((extract(epoch FROM expires_at) * 1000000)::bigint, 0)::bigint AS expires_at,
    COALESCE((extract(epoch FROM forgotten_at) * 1000000)::bigint, 0)::bigint AS forgotten_at,
    COALESCE((extract(epoch FROM leased_until) * 1000000)::bigint, 0)::bigint AS leased_until,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS looked_at
FROM pgidem_records
WHERE key = sqlc.arg(key)::text;

-- name: RecordInsert :one
-- RecordInsert records a response and returns the moment. It inserts plainly, so
-- that a second record for the key raises 23505 and the server skips the COMMIT
-- behind it in the batch. Run in another transaction than the one that began at
-- started, it violates NOT NULL of attempt_id: the handler has ended the
-- transaction that the record belongs to. A started that is null belongs to any
-- transaction.
-- Lock: that of the new row; it waits for another transaction that is inserting
-- the same key until that one ends.
-- Index: pgidem_records_pkey makes the record unique.
INSERT INTO pgidem_records (
    attempt_id,
    stored_at,
    expires_at,
    forgotten_at,
    status,
    format,
    key,
    request_hash,
    header,
    body
)
VALUES (
    CASE
        WHEN sqlc.narg(started)::timestamptz IS NULL OR sqlc.narg(started)::timestamptz = transaction_timestamp()
        THEN sqlc.arg(attempt_id)::uuid
    END,
    clock_timestamp(),
    clock_timestamp() + sqlc.arg(ttl)::interval,
    clock_timestamp() + sqlc.narg(remembered)::interval,
    sqlc.arg(status)::integer,
    sqlc.arg(format)::smallint,
    sqlc.arg(key)::text,
    sqlc.arg(request_hash)::text,
    sqlc.arg(header)::bytea,
    sqlc.arg(body)::bytea
)
RETURNING stored_at;

-- name: RecordInsertHeld :execrows
-- RecordInsertHeld records a response in the transaction of a caller, if the
-- reservation is still held there: a setting of that transaction says so, which
-- ends with it and is undone with a savepoint.
-- Lock: as RecordInsert.
-- Index: pgidem_records_pkey makes the record unique.
INSERT INTO pgidem_records (
    attempt_id,
    stored_at,
    expires_at,
    forgotten_at,
    status,
    format,
    key,
    request_hash,
    header,
    body
)
SELECT
    sqlc.arg(attempt_id)::uuid,
    clock_timestamp(),
    clock_timestamp() + sqlc.arg(ttl)::interval,
    clock_timestamp() + sqlc.narg(remembered)::interval,
    sqlc.arg(status)::integer,
    sqlc.arg(format)::smallint,
    sqlc.arg(key)::text,
    sqlc.arg(request_hash)::text,
    sqlc.arg(header)::bytea,
    sqlc.arg(body)::bytea
WHERE strpos(current_setting('pgidem.held', true), sqlc.arg(attempt_id_text)::text) > 0;

-- name: RecordDeleteStale :execrows
-- RecordDeleteStale makes room for a new record in the place of the stale one
-- that Reserve has seen. It is fenced by the attempt that wrote that one: a
-- record that came in between stays.
-- Lock: FOR UPDATE on the row; it waits for another transaction that deletes or
-- renews the row, and then looks at what that one has left.
-- Index: pgidem_records_pkey, one row.
DELETE FROM pgidem_records
WHERE key = sqlc.arg(key)::text
    AND attempt_id = sqlc.arg(seen_attempt_id)::text::uuid
    AND COALESCE(forgotten_at, expires_at, leased_until) <= clock_timestamp();

-- name: RecordSweep :execrows
-- RecordSweep deletes what is over in a range of the table: records and
-- tombstones whose time has come, and leases that ended at least lease_grace_us
-- microseconds ago. The deleting statement repeats the condition, so that a key
-- that was reserved again in between stays.
-- Lock: FOR UPDATE on the rows it deletes. Rows that others hold are skipped, so
-- it waits for nobody and several sweepers share the work.
-- Index: none. A range of blocks is read as it lies on disk, so that a sweep is
-- linear and no insert pays for an index.
DELETE FROM pgidem_records
WHERE ctid = ANY (ARRAY(
    SELECT candidate.ctid
    FROM pgidem_records AS candidate
    WHERE candidate.ctid >= sqlc.arg(first)::text::tid
        AND candidate.ctid < sqlc.arg(past)::text::tid
        AND COALESCE(
            candidate.forgotten_at,
            candidate.expires_at,
            candidate.leased_until + sqlc.arg(lease_grace_us)::bigint * interval '1 microsecond'
        ) <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
))
    AND COALESCE(
        forgotten_at,
        expires_at,
        leased_until + sqlc.arg(lease_grace_us)::bigint * interval '1 microsecond'
    ) <= clock_timestamp();

-- name: RecordEntomb :execrows
-- RecordEntomb makes tombstones small in a range of the table: of a record whose
-- replays are over and whose key is still remembered, header and body go.
-- Lock: FOR UPDATE on the rows it changes. Rows that others hold are skipped.
-- Index: none, as RecordSweep.
UPDATE pgidem_records
SET
    header = NULL,
    body = NULL
WHERE ctid = ANY (ARRAY(
    SELECT candidate.ctid
    FROM pgidem_records AS candidate
    WHERE candidate.ctid >= sqlc.arg(first)::text::tid
        AND candidate.ctid < sqlc.arg(past)::text::tid
        AND candidate.forgotten_at > clock_timestamp()
        AND candidate.expires_at <= clock_timestamp()
        AND candidate.body IS NOT NULL
    FOR UPDATE SKIP LOCKED
))
    AND expires_at <= clock_timestamp();
