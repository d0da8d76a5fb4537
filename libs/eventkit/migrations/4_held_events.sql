-- Events that the broker refused for good, and the later ones of their keys, which must not overtake them.
create table held_events (
    relay text not null,
    position bigint not null,
    topic text not null,
    entity_key text not null,
    attempts bigint not null,
    error text,
    held_at bigint not null,
    primary key (relay, position)
);

create index held_events_of_key on held_events (relay, topic, entity_key, position);
