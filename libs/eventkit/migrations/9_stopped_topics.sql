-- Topics that take nothing from a relay: their events after the position, up to the relay's cursor, are not published yet.
create table stopped_topics (
    relay text not null,
    topic text not null,
    position bigint not null,
    attempts bigint not null,
    error text not null,
    stopped_at bigint not null,
    primary key (relay, topic)
);
