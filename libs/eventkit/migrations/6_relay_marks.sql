-- Up to which position each relay had published by the end of each second in which it published something.
create table relay_marks (
    relay text not null,
    second bigint not null,
    position bigint not null,
    primary key (relay, second)
);
