-- Tables made from events. Handlers share a row while they apply an event; whoever begins or ends a rebuild has it alone.
create table projections (
    name text primary key,
    is_rebuilding boolean not null,
    -- Whether projection_ahead has rows of the running tables.
    has_ahead boolean not null,
    rebuilt_at bigint
);

-- The rebuild that runs, and until when its next step is waited for.
create table projection_rebuilds (
    projection text primary key,
    rebuild_id text not null,
    began_at bigint not null,
    expires_at bigint not null,
    -- Applied from stores, and from the journal.
    events bigint not null,
    journalled bigint not null
);

-- Up to which position of each service's store the running tables are, and those of a rebuild.
create table projection_sources (
    projection text not null,
    service text not null,
    is_rebuild boolean not null,
    position bigint not null,
    primary key (projection, service, is_rebuild)
);

-- Events that changed the running tables while a rebuild ran, in the order in which they did.
create table projection_journal (
    position {{identity}},
    projection text not null,
    event_identity text not null,
    event_type text not null,
    envelope text not null
);

create index projection_journal_of_event on projection_journal (projection, event_identity);

-- Events of a store that tables know of although their handler has not had them yet.
create table projection_ahead (
    projection text not null,
    event_identity text not null,
    is_rebuild boolean not null,
    primary key (projection, event_identity, is_rebuild)
);

drop table projection_positions;
