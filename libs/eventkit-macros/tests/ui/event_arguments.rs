//! Every kind of wrong argument of the derive.
use eventkit_macros::Event;

#[derive(Event)]
#[event(type = "UserCreated", version = 0, topic = , key = 5, kind = "x", type = "user.created")]
struct Wrong;

#[derive(Event)]
struct NothingSaid;

#[derive(Event)]
#[event]
struct NoArguments;

#[derive(Event)]
#[event(type = 7, topic = "a" key = "x")]
struct NoComma;

fn main() {
    let _ = (Wrong, NothingSaid, NoArguments, NoComma);
}
