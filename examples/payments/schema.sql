-- Two CREATE TABLE IF NOT EXISTS at the same moment can both find the table
-- missing, and the second then fails on the catalogue's unique index. So the
-- processes that start together take turns; the lock goes with the transaction.
SELECT pg_advisory_xact_lock(1885435251, 1);

CREATE TABLE IF NOT EXISTS accounts (
    id      text   PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
);

CREATE TABLE IF NOT EXISTS payments (
    -- The order of entry. A sequence never takes a number back, so its last
    -- value also tells how many inserts were ever tried: those that were rolled
    -- back, and those whose process was killed.
    entry      bigint      GENERATED ALWAYS AS IDENTITY,
    id         text        PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts (id),
    amount     bigint      NOT NULL CHECK (amount > 0),
    currency   text        NOT NULL,
    -- Not unique: a client may well pay twice for one order. What must not
    -- happen twice is one request.
    reference  text        NOT NULL,
    balance    bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who wrote the row, as its connection calls itself (PGAPPNAME). Nothing
    -- depends on it; it is for whoever asks later where a payment came from.
    process    text        NOT NULL DEFAULT current_setting('application_name')
);

CREATE INDEX IF NOT EXISTS payments_by_reference ON payments (reference);

INSERT INTO accounts (id, balance)
SELECT 'acct_' || n, 1000000000
FROM generate_series(1, 100) AS n
ON CONFLICT DO NOTHING;
