-- Forgets every key: a request that is sent again afterwards runs again.
DROP TABLE pgidem_records;
