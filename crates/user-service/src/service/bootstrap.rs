//! The first administrator, by a one-time token that whoever can read the data directory finds there.

use std::io;
use std::path::Path;

use chassis::data_dir::write_private;
use chassis::{EntityError, Secret};
use contracts::audit::Incident;
use db::Db;
use eventkit::{EventPublisher, Origin, UnitOfWork};

use super::{ADMIN_GATE, Client, Service, own_actor};
use crate::domain::role::{ADMIN, BEGINNER, RoleScope};
use crate::domain::{Employee, EmployeeFields, Status, password};
use crate::error::Error;
use crate::store;
use crate::tokens::{hash_of, random_token};

/// The file with the token, in the part's folder.
pub(crate) const BOOTSTRAP_FILE: &str = "bootstrap.token";
const REFUSED: &str = "the bootstrap token is not known, or was used";

/// Who the first administrator is to be.
#[derive(Debug)]
pub(crate) struct NewAdmin {
    pub(crate) token: Secret,
    pub(crate) fields: EmployeeFields,
    pub(crate) password: Secret,
}

impl Service {
    /// Whether a token may make the first administrator.
    async fn opens(&self, token_hash: &str) -> Result<bool, Error> {
        let is_known = store::invitations::knows_bootstrap(&self.db, token_hash).await?;
        Ok(is_known && !store::roles::has_admin(&self.db).await?)
    }

    /// Makes the first administrator, and ends the token for good.
    pub(crate) async fn bootstrap(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        new: NewAdmin,
    ) -> Result<Employee, Error> {
        let attempt = self.attempts.begin(client.address, None, self.clock.now_ms()).await?;
        let token_hash = hash_of(new.token.expose());
        let looked = self.opens(&token_hash).await;
        let (attempt, opens) = self.attempts.judged(attempt, looked).await?;
        if !opens {
            return Err(self.not_let_in(work, client, Incident::TokenRefused, None, REFUSED).await);
        }
        self.attempts.forgive(attempt).await;
        let fields = new.fields;
        password::check(new.password.expose(), &[&fields.first_name, &fields.last_name, &fields.email])?;
        let hash = self.hasher.hash(new.password).await?;
        work.lock_entity(ADMIN_GATE).await?;
        let is_mine = store::invitations::end_bootstrap(work, &token_hash).await?;
        if !is_mine || store::roles::has_other_admin(work, 0).await? {
            work.undo().await;
            return Err(self.not_let_in(work, client, Incident::TokenRefused, None, REFUSED).await);
        }
        let employee = self.add(work, own_actor(), &fields, Status::Active, Some(&hash)).await?;
        let mut roles = Vec::new();
        for name in [ADMIN, BEGINNER] {
            let role = store::roles::by_name(work, name).await?;
            let (role, _) = role.ok_or_else(|| EntityError::Conflict(format!("there is no role {name}")))?;
            roles.push((role.role_id, RoleScope::All));
        }
        store::roles::assign(work, employee.employee_id, &roles).await?;
        let file = self.bootstrap_file.clone();
        work.tx().await?.on_commit(move || remove(&file));
        Ok(employee)
    }
}

/// Writes a token into `file` while nobody runs the installation, and takes it away once somebody does.
pub(crate) async fn prepare_bootstrap(publisher: &EventPublisher, file: &Path) -> Result<(), Error> {
    if store::roles::has_admin(publisher.db()).await? {
        remove(file);
        return Ok(());
    }
    if is_good(publisher.db(), file).await? {
        return Ok(());
    }
    let token = random_token()?;
    let mut work = publisher.begin(Origin::default());
    store::invitations::add_bootstrap(&mut work, &hash_of(&token)).await?;
    work.commit().await?;
    // Dying in between leaves a hash whose token nobody has; the next start makes another.
    write_private(file, &token).map_err(|error| Error::BootstrapFile(error.to_string()))
}

async fn is_good(db: &Db, file: &Path) -> Result<bool, Error> {
    let Ok(token) = std::fs::read_to_string(file) else { return Ok(false) };
    Ok(store::invitations::knows_bootstrap(db, &hash_of(token.trim_end())).await?)
}

fn remove(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the used bootstrap token could not be removed; it opens nothing any more");
        }
        _ => {}
    }
}
