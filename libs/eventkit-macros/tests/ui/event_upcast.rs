//! Upcasters that do not lead from version 1 to the current one.
use eventkit_macros::Event;

const TOPIC: &str = "user-events";

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, version = 4, upcast(1 = a, 1 = b, 4 = c))]
struct Gaps;

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, version = 3, upcast(1 = 5, 0 = a, x = b))]
struct Unreadable;

#[derive(Event)]
#[event(type = "user.created", topic = TOPIC, upcast(1 = a))]
struct NothingToUpcastTo;

fn main() {
    let _ = (Gaps, Unreadable, NothingToUpcastTo);
}
