-- why: an Atomic database of our own; the default one of embedded ClickHouse is of another kind.
-- rewrites data: no
CREATE DATABASE IF NOT EXISTS otel ENGINE = Atomic
