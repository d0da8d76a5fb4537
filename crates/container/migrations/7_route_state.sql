-- What idempotent consumers of routes have seen; the owner is the exchange that may find its key again.
create table route_keys (
    number {{identity}},
    place text not null,
    seen_key text not null,
    owner text not null,
    seen_at bigint not null
);
create unique index route_keys_key on route_keys (place, seen_key);
create index route_keys_order on route_keys (place, number);
create index route_keys_seen_at on route_keys (seen_at);

-- Groups that aggregations collect; the row is locked by whoever changes the group.
create table route_groups (
    place text not null,
    group_key text not null,
    size bigint not null,
    -- Another one after each change.
    mark bigint not null,
    due_at bigint,
    changed_at bigint not null,
    primary key (place, group_key)
);
create index route_groups_due_at on route_groups (place, due_at);
create index route_groups_changed_at on route_groups (changed_at);

create table route_group_members (
    place text not null,
    group_key text not null,
    position bigint not null,
    content bytea not null,
    primary key (place, group_key, position)
);

-- Who has joined a group, for when it comes again.
create table route_joined (
    place text not null,
    member text not null,
    joined_at bigint not null,
    primary key (place, member)
);
create index route_joined_joined_at on route_joined (joined_at);

-- Complete groups whose steps have not been run to their end.
create table route_complete_groups (
    number {{identity}},
    place text not null,
    content bytea not null,
    failures bigint not null,
    -- Who runs the steps, and in which of its lives.
    instance text not null,
    run text not null,
    -- When others may run them.
    due_at bigint not null,
    completed_at bigint not null
);
create index route_complete_groups_due_at on route_complete_groups (place, due_at);
create index route_complete_groups_completed_at on route_complete_groups (completed_at);

-- Keys of complete groups that are refused from then on.
create table route_closed_keys (
    number {{identity}},
    place text not null,
    group_key text not null,
    closed_at bigint not null
);
create unique index route_closed_keys_key on route_closed_keys (place, group_key);
create index route_closed_keys_order on route_closed_keys (place, number);
create index route_closed_keys_closed_at on route_closed_keys (closed_at);
