-- One row per idempotency key: a reservation in flight under a lease, or the
-- completed record that replays are made of. A transactional attempt in flight
-- has no row; it is its own transaction that will insert one.
--
-- The name stands without a schema: the connection's search_path decides, so
-- that two services can have tables of their own in one database.
--
-- Columns of fixed width come first, widest first: no padding between them, and
-- PostgreSQL finds them without walking over key and body.
CREATE TABLE pgidem_records (
    attempt_id   uuid        NOT NULL,
    stored_at    timestamptz,
    expires_at   timestamptz,
    leased_until timestamptz,
    forgotten_at timestamptz,
    status       integer,
    format       smallint    NOT NULL,
    -- COLLATE "C": keys are compared byte by byte, the same on every server, and
    -- no upgrade of a locale library can corrupt the index that makes the
    -- promise safe.
    key          text        COLLATE "C" NOT NULL,
    request_hash text        NOT NULL,
    header       bytea,
    body         bytea,

    -- From expires_at to forgotten_at, where that is set, a completed row is a
    -- tombstone: its key is refused, its header and body may be gone.

    CONSTRAINT pgidem_records_pkey PRIMARY KEY (key),

    -- A row is either completed, with a status and an end, or in flight, with a
    -- lease.
    -- No more is checked here: the server reads the whole expression anew for
    -- every insert, inside the business transaction.
    CONSTRAINT pgidem_records_state CHECK (
        (status IS NULL) <> (leased_until IS NULL)
        AND (status IS NULL) = (expires_at IS NULL)
    )
);

-- No second index: every insert would pay for it inside the business
-- transaction, and only the sweep could use it.
--
-- No storage parameters: a record is inserted once and deleted once, so there is
-- no update to leave room for; and the default compression of long bodies is the
-- only one that every build of the server has.

COMMENT ON TABLE pgidem_records IS
    'pgidem: one row per idempotency key. Delete rows only through the sweep.';
