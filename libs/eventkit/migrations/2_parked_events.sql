-- Keys that a dead letter blocks in a group that parks.
create table parked_keys (
    group_name text not null,
    topic text not null,
    entity_key bytea not null,
    blocker text not null,
    resolved boolean not null,
    events bigint not null,
    blocked_at bigint not null,
    primary key (group_name, topic, entity_key)
);

-- Later events of those keys, in the order in which they came.
create table parked_events (
    position {{identity}},
    group_name text not null,
    topic text not null,
    entity_key bytea not null,
    event_identity text not null,
    source_partition bigint not null,
    source_offset bigint not null,
    sent_at bigint,
    value bytea,
    headers text not null,
    parked_at bigint not null,
    unique (group_name, topic, event_identity)
);

create index parked_events_of_key on parked_events (group_name, topic, entity_key, position);
