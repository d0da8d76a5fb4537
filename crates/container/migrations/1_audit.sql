-- What was done by whom, each record chained to the one before it.
create table audit_records (
    sequence bigint primary key,
    event_id text not null unique,
    event_type text not null,
    entity text not null,
    occurred_at bigint not null,
    envelope text not null,
    previous_hash text not null,
    hash text not null
);

create index audit_records_entity on audit_records (entity, sequence);

-- The chain's end: one row, locked by whoever appends.
create table audit_head (
    id bigint primary key,
    sequence bigint not null,
    hash text not null
);

insert into audit_head (id, sequence, hash)
values (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
