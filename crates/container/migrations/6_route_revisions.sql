create table route_revisions (
    file text not null,
    revision bigint not null,
    digest text not null,
    content text,
    deployed_at bigint not null,
    primary key (file, revision)
);
