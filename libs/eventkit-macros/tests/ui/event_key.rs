//! Wrong keys, and types that cannot have one.
use eventkit_macros::Event;

const TOPIC: &str = "user-events";

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, key = "user-{id}-{name}-{employee_id:04}-{}-}")]
struct Fields {
    employee_id: i64,
    email: String,
}

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, key = "user-{id}")]
struct UnknownFields {
    employee_id: i64,
    email: String,
}

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, key = "{id}")]
enum NoFields {
    Created { id: i64 },
}

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC)]
struct Borrowed<'a> {
    name: &'a str,
}

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, key = "{0}")]
union Overlaid {
    number: i64,
}

fn main() {}
