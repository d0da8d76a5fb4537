alter table employees add column gender text;
alter table employees add column confirmation_date text;
alter table employees add column avatar_url text;
alter table employees add column base_salary text;
alter table employees add column department_id bigint;
alter table employees add column position_id bigint;
alter table employees add column password_hash text;
-- Grows with each change of the employee's roles.
alter table employees add column roles_version bigint not null default 1;
alter table employees add column deleted_at bigint;
-- In lower case, for searching and sorting: given name first, and family name first.
alter table employees add column full_name_folded text not null default '';
alter table employees add column sort_name_folded text not null default '';
alter table employees add column employee_code_folded text;

update employees set full_name_folded = lower(first_name || ' ' || last_name),
    sort_name_folded = lower(last_name || ' ' || first_name), employee_code_folded = lower(employee_code);

-- Who was removed gives address and code free.
drop index employees_email_folded_key;
drop index employees_employee_code_key;
create unique index employees_email_folded_key on employees (email_folded) where deleted_at is null;
create unique index employees_employee_code_key on employees (employee_code) where deleted_at is null;
create index employees_department_id on employees (department_id);
create index employees_sort_name on employees (sort_name_folded, employee_id);

-- What company-events tell of departments.
create table departments (
    department_id bigint primary key,
    headquarter_id bigint not null,
    name text not null,
    is_active boolean not null,
    -- When that was told, so that an event that arrives late changes nothing.
    told_at bigint not null
);

create index departments_headquarter_id on departments (headquarter_id);

create table roles (
    role_id {{identity}},
    name text not null,
    name_folded text not null,
    description text,
    -- A JSON list of permissions.
    permissions text not null,
    is_built_in boolean not null,
    -- An edited one is left alone when the program brings a new definition.
    is_edited boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create unique index roles_name_folded_key on roles (name_folded) where deleted_at is null;

create table employee_roles (
    employee_id bigint not null,
    role_id bigint not null,
    -- all, headquarters or department; scope_id is 0 for all.
    scope text not null,
    scope_id bigint not null,
    primary key (employee_id, role_id, scope, scope_id)
);

create index employee_roles_role_id on employee_roles (role_id);

create table sessions (
    session_id text primary key,
    employee_id bigint not null,
    user_agent text,
    ip_address text,
    created_at bigint not null,
    last_used_at bigint not null,
    expires_at bigint not null,
    ended_at bigint
);

create index sessions_employee_id on sessions (employee_id);
create index sessions_expires_at on sessions (expires_at);
create index sessions_ended_at on sessions (ended_at);

create table refresh_tokens (
    token_hash text primary key,
    session_id text not null,
    expires_at bigint not null,
    -- A token that was used stays until it expires, so that a second use is noticed.
    used_at bigint
);

create index refresh_tokens_session_id on refresh_tokens (session_id);
create index refresh_tokens_expires_at on refresh_tokens (expires_at);

create table known_devices (
    employee_id bigint not null,
    device_hash text not null,
    last_seen_at bigint not null,
    primary key (employee_id, device_hash)
);

create index known_devices_last_seen_at on known_devices (last_seen_at);

create table invitations (
    token_hash text primary key,
    employee_id bigint not null,
    expires_at bigint not null
);

create index invitations_employee_id on invitations (employee_id);
create index invitations_expires_at on invitations (expires_at);

create table bootstrap_tokens (
    token_hash text primary key,
    created_at bigint not null
);

create table signing_keys (
    name text primary key,
    secret text not null
);

-- Applications whose hiring has been seen to, once each.
create table hired_applications (
    application_id bigint primary key,
    employee_id bigint not null,
    outcome text not null,
    handled_at bigint not null
);
