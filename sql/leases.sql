-- name: LeaseReserve :execrows
-- LeaseReserve takes the key for an attempt, or changes nothing. The fence is in
-- the WHERE of DO UPDATE, where the server evaluates it on the newest version of
-- the row, under its lock: of several who find a stale row one takes it. A row of
-- the same attempt is its own, from a call whose reply was lost.
-- Lock: first the advisory lock of the key, which a transactional attempt holds
-- until it ends. Not got, nothing is inserted. Then the row.
-- Index: pgidem_records_pkey, one row.
INSERT INTO pgidem_records AS held (attempt_id, leased_until, format, key, request_hash)
SELECT
    sqlc.arg(attempt_id)::uuid,
    clock_timestamp() + sqlc.arg(lease)::interval,
    sqlc.arg(format)::smallint,
    sqlc.arg(key)::text,
    sqlc.arg(request_hash)::text
WHERE NOT sqlc.arg(locks)::boolean
    OR pg_try_advisory_xact_lock(sqlc.arg(class)::integer, sqlc.arg(number)::integer)
ON CONFLICT (key) DO UPDATE
SET
    attempt_id = excluded.attempt_id,
    leased_until = excluded.leased_until,
    format = excluded.format,
    request_hash = excluded.request_hash,
    stored_at = NULL,
    expires_at = NULL,
    forgotten_at = NULL,
    status = NULL,
    header = NULL,
    body = NULL
WHERE COALESCE(held.forgotten_at, held.expires_at, held.leased_until) <= clock_timestamp()
    OR held.attempt_id = excluded.attempt_id AND held.status IS NULL;

-- name: LeaseCommit :execrows
-- LeaseCommit completes the lease of an attempt, also after its end as long as
-- nobody else has taken the key.
-- Lock: the row.
-- Index: pgidem_records_pkey, one row.
UPDATE pgidem_records
SET
    leased_until = NULL,
    stored_at = clock_timestamp(),
    expires_at = clock_timestamp() + sqlc.arg(ttl)::interval,
    forgotten_at = clock_timestamp() + sqlc.narg(remembered)::interval,
    status = sqlc.arg(status)::integer,
    format = sqlc.arg(format)::smallint,
    request_hash = sqlc.arg(request_hash)::text,
    header = sqlc.arg(header)::bytea,
    body = sqlc.arg(body)::bytea
WHERE key = sqlc.arg(key)::text
    AND attempt_id = sqlc.arg(attempt_id)::uuid
    AND status IS NULL;

-- name: LeaseRenew :execrows
-- LeaseRenew prolongs the lease of an attempt that has not ended. One that has
-- is lost, even if nobody has taken the key yet: somebody may be about to.
-- Lock: the row.
-- Index: pgidem_records_pkey, one row.
UPDATE pgidem_records
SET leased_until = clock_timestamp() + sqlc.arg(lease)::interval
WHERE key = sqlc.arg(key)::text
    AND attempt_id = sqlc.arg(attempt_id)::uuid
    AND status IS NULL
    AND leased_until > clock_timestamp();

-- name: LeaseRelease :execrows
-- LeaseRelease gives the lease of an attempt up. It never removes a completed
-- record, nor the lease of another attempt.
-- Lock: the row.
-- Index: pgidem_records_pkey, one row.
DELETE FROM pgidem_records
WHERE key = sqlc.arg(key)::text
    AND attempt_id = sqlc.arg(attempt_id)::uuid
    AND status IS NULL;
