-- Who can be told something, as user-, company- and recruitment-events tell it.
create table employees (
    employee_id bigint primary key,
    first_name text not null,
    last_name text not null,
    email text not null,
    phone_number text,
    department_id bigint,
    has_left boolean not null
);

create table candidates (
    candidate_id bigint primary key,
    first_name text not null,
    last_name text not null,
    email text not null,
    phone_number text,
    -- The time of the event that told it: applications of one candidate come in any order.
    as_of bigint not null
);

create table departments (
    department_id bigint primary key,
    headquarter_id bigint not null,
    name text not null,
    leader_id bigint,
    is_active boolean not null
);
