//! Every kind of wrong argument of the attribute; the functions are still there to be called.
#![allow(unused_variables)]

use eventkit_macros::publish_event;

struct UnitOfWork;
struct UserCreated;
struct Error;

#[publish_event(
    topic = ,
    event_type = "user.created",
    key_extractor = "user-{id}",
    data_extractor = |a, b| UserCreated,
    retries = 3,
    topic = "x",
    work = job,
)]
async fn create(work: &mut UnitOfWork) -> Result<u8, Error> {
    Ok(1)
}

#[publish_event]
async fn says_nothing(work: &mut UnitOfWork) -> Result<u8, Error> {
    Ok(1)
}

#[publish_event(UserCreated, event_type = UserCreated, key_extractor = async |a| a)]
async fn says_twice(work: &mut UnitOfWork) -> Result<u8, Error> {
    Ok(1)
}

async fn call(work: &mut UnitOfWork) -> Result<u8, Error> {
    Ok(create(work).await? + says_nothing(work).await? + says_twice(work).await?)
}

fn main() {
    let _ = call(&mut UnitOfWork);
}
