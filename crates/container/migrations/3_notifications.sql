-- What somebody wants to be told, and how; whoever is not in it wants everything.
create table preferences (
    recipient_type text not null,
    recipient_id bigint not null,
    version bigint not null,
    wishes text not null,
    primary key (recipient_type, recipient_id)
);

-- What became of each notification; without addresses and texts.
create table notifications (
    notification_id {{identity}},
    event_id text not null unique,
    channel text not null,
    template text not null,
    recipient_type text,
    recipient_id bigint,
    outcome text not null,
    reason text,
    attempts bigint not null,
    tried_at bigint not null
);

create index notifications_tried_at on notifications (tried_at, notification_id);
create index notifications_recipient on notifications (recipient_id, recipient_type, tried_at);
