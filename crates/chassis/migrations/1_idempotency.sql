-- The answers of POST requests that carried an Idempotency-Key, committed with their effects.
create table idempotency_keys (
    -- Who asked: 'operator', 'employee-7', or 'public'.
    owner text not null,
    key text not null,
    -- SHA-256 of path, query and body.
    fingerprint text not null,
    status bigint not null,
    location text,
    etag text,
    body text not null,
    created_at bigint not null,
    primary key (owner, key)
);

create index idempotency_keys_created_at on idempotency_keys (created_at);
