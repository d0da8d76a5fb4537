create table employees (
    employee_id {{identity}},
    employee_code text,
    first_name text not null,
    last_name text not null,
    email text not null,
    -- The address as it is compared: in lower case.
    email_folded text not null,
    phone_number text,
    address text,
    birth_date text,
    start_date text,
    status text not null,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create unique index employees_email_folded_key on employees (email_folded);
create unique index employees_employee_code_key on employees (employee_code);
