//! Functions that nothing can be published after.
use eventkit_macros::publish_event;

struct UnitOfWork;
struct UserCreated;
struct Error;

#[publish_event(UserCreated)]
fn waits_for_nothing(number: u8) -> Option<u8> {
    Some(number)
}

#[publish_event(UserCreated)]
async fn returns_nothing(work: &mut UnitOfWork) {
    let _ = work;
}

#[publish_event(UserCreated)]
async fn two_units(one: &mut UnitOfWork, two: &mut UnitOfWork) -> Result<(), Error> {
    let _ = (one, two);
    Ok(())
}

#[publish_event(UserCreated, work = work)]
async fn shared(work: &UnitOfWork) -> Result<(), Error> {
    let _ = work;
    Ok(())
}

#[publish_event(UserCreated)]
async fn unnamed(_: &mut UnitOfWork) -> Result<(), Error> {
    Ok(())
}

trait Creates {
    #[publish_event(UserCreated)]
    async fn create(&self, work: &mut UnitOfWork) -> Result<(), Error>;
}

#[publish_event(UserCreated)]
struct NoFunction;

fn main() {
    let _ = (waits_for_nothing, NoFunction, UserCreated, Error);
}
