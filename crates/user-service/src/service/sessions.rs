//! Sessions: begun by a login, kept alive by refresh tokens that work once, ended at once.

use chassis::store::audit;
use chassis::{Principal, Secret};
use contracts::USER_EVENTS;
use contracts::audit::{Actor, AuditSecurity, Incident, digest};
use contracts::user::{LogoutReason, UserLogin, UserLogout};
use eventkit::{UnitOfWork, publish_event};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Client, Service, UPDATE};
use crate::answers::Whose;
use crate::domain::employee::key;
use crate::domain::fold;
use crate::error::Error;
use crate::store;
use crate::store::employees::Credentials;
use crate::store::sessions::Session;
use crate::tokens::{hash_of, random_token};

/// Living sessions of one employee at the most; a further one ends the one that was not used for longest.
const SESSIONS_MAX: usize = 50;

const LOGIN_REFUSED: &str = "the e-mail address or the password is wrong";
const REFRESH_REFUSED: &str = "the refresh token is not known, was used, or its session has ended";

/// A session with the tokens that its client gets.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) session: Session,
    pub(crate) access_token: String,
    pub(crate) access_token_keep_ms: i64,
    pub(crate) refresh_token: String,
}

impl Service {
    /// Lets somebody in who knows the password.
    pub(crate) async fn log_in(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        email: &str,
        password: Secret,
    ) -> Result<LoggedIn, Error> {
        let attempt = self.attempts.begin(client.address, Some(&fold(email)), self.clock.now_ms()).await?;
        let checked = self.check_password(email, password).await;
        let (attempt, (known, is_right)) = self.attempts.judged(attempt, checked).await?;
        let entity = known.as_ref().map(|known| key(known.employee_id));
        let Some(known) = known.filter(|known| is_right && known.is_active) else {
            return Err(self.not_let_in(work, client, Incident::LoginFailed, entity, LOGIN_REFUSED).await);
        };
        self.attempts.forgive(attempt).await;
        let may_end_oldest =
            store::sessions::count(&self.db, known.employee_id, self.clock.now_ms()).await? >= SESSIONS_MAX;
        if may_end_oldest {
            self.answers.before_change(Whose::Employee(known.employee_id)).await?;
        }
        work.lock_entity(&key(known.employee_id)).await?;
        if store::employees::credentials_of(work, known.employee_id).await?.as_ref() != Some(&known) {
            // Suspended, removed or given another password while the hash was being looked at.
            return Err(self.not_let_in(work, client, Incident::LoginFailed, entity, LOGIN_REFUSED).await);
        }
        self.begin_session(work, client, known.employee_id, may_end_oldest).await
    }

    /// Whose e-mail address it is, and whether the password is theirs; outside of any unit of work.
    async fn check_password(&self, email: &str, password: Secret) -> Result<(Option<Credentials>, bool), Error> {
        let known = store::employees::credentials(&self.db, email).await?;
        let hash = known.as_ref().and_then(|known| known.password_hash.clone());
        let is_right = self.hasher.verify(password, hash).await?;
        Ok((known, is_right))
    }

    async fn begin_session(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        employee_id: i64,
        may_end_oldest: bool,
    ) -> Result<LoggedIn, Error> {
        let actor = Actor::Employee { employee_id };
        let living = store::sessions::living(work, employee_id).await?;
        // One too many that was begun in this moment is ended by the next login.
        let surplus = if may_end_oldest { (living.len() + 1).saturating_sub(SESSIONS_MAX) } else { 0 };
        for session_id in living.into_iter().take(surplus) {
            self.end_session(work, employee_id, session_id, LogoutReason::Revoked, &actor).await?;
        }
        let now = self.clock.now();
        let session = Session {
            session_id: Uuid::now_v7().to_string(),
            employee_id,
            user_agent: client.user_agent.clone(),
            ip_address: client.address.map(|address| address.to_string()),
            created_at: now,
            last_used_at: now,
            expires_at: self.refresh_expiry(),
        };
        store::sessions::insert(work, &session).await?;
        let device = hash_of(client.user_agent.as_deref().unwrap_or_default());
        let new_device = store::sessions::see_device(work, employee_id, &device).await?;
        self.tell_login(work, &session, new_device).await?;
        audit(work, actor, session_key(&session.session_id), None, Some(digest(&session.session_id))).await?;
        self.hand_out(work, session).await
    }

    #[publish_event(event_type = UserLogin, data_extractor = |login| login.clone())]
    async fn tell_login(&self, work: &mut UnitOfWork, session: &Session, new_device: bool) -> Result<UserLogin, Error> {
        Ok(UserLogin {
            employee_id: session.employee_id,
            session_id: session.session_id.clone(),
            new_device,
            ip_address: session.ip_address.clone(),
            user_agent: session.user_agent.clone(),
        })
    }

    /// Makes the tokens of a session.
    async fn hand_out(&self, work: &mut UnitOfWork, session: Session) -> Result<LoggedIn, Error> {
        let refresh_token = random_token()?;
        let expires_at_ms = session.expires_at.as_millisecond();
        store::sessions::add_token(work, &session.session_id, &hash_of(&refresh_token), expires_at_ms).await?;
        let keep_ms = self.limits.access_token_keep_ms;
        let access_token = self.tokens.issue(session.employee_id, &session.session_id, self.clock.now_ms(), keep_ms)?;
        Ok(LoggedIn { session, access_token, access_token_keep_ms: keep_ms, refresh_token })
    }

    /// Exchanges a refresh token for new tokens. One that was used before is in two hands: its session ends.
    pub(crate) async fn refresh(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        token: &Secret,
    ) -> Result<LoggedIn, Error> {
        let attempt = self.attempts.begin(client.address, None, self.clock.now_ms()).await?;
        let token_hash = hash_of(token.expose());
        let known = store::sessions::of_token(&self.db, &token_hash, self.clock.now_ms()).await;
        let (attempt, known) = self.attempts.judged(attempt, known).await?;
        let Some((session_id, employee_id)) = known else {
            return Err(self.not_let_in(work, client, Incident::TokenRefused, None, REFRESH_REFUSED).await);
        };
        self.attempts.forgive(attempt).await;
        work.lock_entity(&key(employee_id)).await?;
        if !store::sessions::use_token(work, &token_hash).await? {
            work.undo().await;
            // It counts as failed after all; whether there were too many does not matter any more.
            let _ = self.attempts.begin(client.address, None, self.clock.now_ms()).await;
            self.answers.before_change(Whose::Employee(employee_id)).await?;
            work.lock_entity(&key(employee_id)).await?;
            return Err(self.refuse_reused(work, client, employee_id, session_id).await?);
        }
        let Some(session) = store::sessions::prolong(work, &session_id, self.refresh_expiry().as_millisecond()).await?
        else {
            let entity = Some(key(employee_id));
            return Err(self.not_let_in(work, client, Incident::TokenRefused, entity, REFRESH_REFUSED).await);
        };
        self.hand_out(work, session).await
    }

    async fn refuse_reused(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        employee_id: i64,
        session_id: String,
    ) -> Result<Error, Error> {
        let reused = AuditSecurity {
            incident: Incident::TokenReused,
            entity: key(employee_id),
            actor: None,
            request: None,
            ip_address: client.address.map(|address| address.to_string()),
            suppressed: 0,
        };
        work.publish(&reused).await?;
        let actor = super::own_actor();
        self.end_session(work, employee_id, session_id, LogoutReason::TokenReused, &actor).await?;
        Ok(Error::NotLetIn(REFRESH_REFUSED))
    }

    /// Ends the session that asks.
    pub(crate) async fn log_out(&self, work: &mut UnitOfWork, principal: &Principal) -> Result<(), Error> {
        let (Some(employee_id), Some(session_id)) = (principal.employee_id(), principal.session_id()) else {
            return Err(Error::NoSession);
        };
        self.answers.before_change(Whose::Employee(employee_id)).await?;
        work.lock_entity(&key(employee_id)).await?;
        let (session_id, actor) = (session_id.to_owned(), principal.actor());
        self.end_session(work, employee_id, session_id, LogoutReason::Requested, &actor).await
    }

    /// Ends one of the own sessions, or somebody's whose record may be changed.
    pub(crate) async fn revoke_session(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        session_id: &str,
    ) -> Result<(), Error> {
        let session = store::sessions::find(&self.db, session_id, self.clock.now_ms()).await?;
        let session = session.ok_or(Error::NoSession)?;
        let is_own = principal.employee_id() == Some(session.employee_id);
        self.answers.before_change(Whose::Employee(session.employee_id)).await?;
        work.lock_entity(&key(session.employee_id)).await?;
        let reason = if is_own {
            LogoutReason::Requested
        } else {
            let employee = store::employees::find(&mut *work, session.employee_id).await?;
            principal.allow_at(UPDATE, employee.place())?;
            LogoutReason::Revoked
        };
        self.end_session(work, session.employee_id, session.session_id, reason, &principal.actor()).await
    }

    /// The living sessions of whoever asks.
    pub(crate) async fn own_sessions(&self, principal: &Principal) -> Result<Vec<Session>, Error> {
        match principal.employee_id() {
            Some(employee_id) => Ok(store::sessions::list(&self.db, employee_id, self.clock.now_ms()).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Ends every session of an employee whose change was announced and whose entity is locked.
    pub(super) async fn end_sessions(
        &self,
        work: &mut UnitOfWork,
        employee_id: i64,
        reason: LogoutReason,
        actor: &Actor,
    ) -> Result<(), Error> {
        for session_id in store::sessions::living(work, employee_id).await? {
            self.end_session(work, employee_id, session_id, reason, actor).await?;
        }
        Ok(())
    }

    async fn end_session(
        &self,
        work: &mut UnitOfWork,
        employee_id: i64,
        session_id: String,
        reason: LogoutReason,
        actor: &Actor,
    ) -> Result<(), Error> {
        // Who ended it first has told of it.
        if store::sessions::end(work, &session_id).await? {
            let before = Some(digest(&session_id));
            audit(work, actor.clone(), session_key(&session_id), before, None).await?;
            self.tell_logout(work, UserLogout { employee_id, session_id, reason }).await?;
        }
        Ok(())
    }

    #[publish_event(
        topic = USER_EVENTS,
        event_type = UserLogout,
        key_extractor = |ended| key(ended.employee_id),
        data_extractor = |ended| ended.clone(),
    )]
    async fn tell_logout(&self, work: &mut UnitOfWork, ended: UserLogout) -> Result<UserLogout, Error> {
        Ok(ended)
    }

    fn refresh_expiry(&self) -> Timestamp {
        let expires_at_ms = self.clock.now_ms().saturating_add(self.limits.refresh_token_keep_ms);
        Timestamp::from_millisecond(expires_at_ms).unwrap_or(Timestamp::MAX)
    }
}

fn session_key(session_id: &str) -> String {
    format!("session-{session_id}")
}
