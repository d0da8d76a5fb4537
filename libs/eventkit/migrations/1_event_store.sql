-- One row an entity: its lock, and the sequence of its last event.
create table event_streams (
    entity_key text primary key,
    sequence bigint not null
);

-- Every event that this service ever told, append-only.
create table event_store (
    position {{identity}},
    event_id text not null unique,
    topic text not null,
    entity_key text not null,
    sequence bigint not null,
    event_type text not null,
    service text not null,
    traceparent text,
    occurred_at bigint not null,
    recorded_at bigint not null,
    envelope text not null,
    unique (entity_key, sequence)
);

-- How far each relay has published, and who may go on.
create table relay_cursors (
    relay text primary key,
    owner text not null,
    expires_at bigint not null,
    position bigint not null
);

-- What each handler of each group has handled, so that a redelivery has no second effect.
create table inbox (
    group_name text not null,
    handler text not null,
    event_identity text not null,
    handled_at bigint not null,
    primary key (group_name, handler, event_identity)
);

create index inbox_handled_at on inbox (handled_at);
