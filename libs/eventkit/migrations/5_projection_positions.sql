-- Up to which position of the event store each projection is.
create table projection_positions (
    name text primary key,
    position bigint not null
);
