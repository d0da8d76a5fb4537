//! Who is asking: bearer tokens, checked by whatever authenticator a router was given.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::from_extractor;
use axum::{Extension, Router};
use contracts::access::{Access, Permission, Place, Scope};
use contracts::audit::Actor;

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::error::BoxError;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::secret::Secret;

/// The scheme of the `Authorization` header, compared without regard to case.
const SCHEME: &str = "bearer";
/// A shorter operator token could be guessed.
const OPERATOR_TOKEN_BYTES_MIN: usize = 32;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// Somebody who can read the operator token in the data directory or the configuration: may do everything.
    Operator,
    /// An employee who is logged in.
    Employee(Arc<Access>),
}

impl Principal {
    /// Whether the permission is held at all, for however small a scope.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Operator => true,
            Self::Employee(access) => access.may(permission),
        }
    }

    /// Whether the permission is held for something at `place`.
    #[must_use]
    pub fn may_at(&self, permission: Permission, place: Place) -> bool {
        match self {
            Self::Operator => true,
            Self::Employee(access) => access.may_at(permission, place),
        }
    }

    /// Refuses what is not permitted at `place`.
    ///
    /// # Errors
    /// 403 when the permission is not held there.
    pub fn require_at(&self, permission: Permission, place: Place) -> Result<(), Problem> {
        if self.may_at(permission, place) {
            return Ok(());
        }
        Err(forbidden(permission))
    }

    /// How far the permission reaches; empty when it is not held.
    #[must_use]
    pub fn scopes(&self, permission: Permission) -> Vec<Scope> {
        match self {
            Self::Operator => vec![Scope::All],
            Self::Employee(access) => {
                let held = access.grants.iter().filter(|grant| grant.permission == permission);
                held.map(|grant| grant.scope).collect()
            }
        }
    }

    /// The employee who is logged in, if it is one.
    #[must_use]
    pub fn employee_id(&self) -> Option<i64> {
        match self {
            Self::Operator => None,
            Self::Employee(access) => Some(access.employee_id),
        }
    }

    /// The session that is asking, if it is one.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        match self {
            Self::Operator => None,
            Self::Employee(access) => Some(&access.session_id),
        }
    }

    /// As audit records name it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Operator => Actor::Operator,
            Self::Employee(access) => Actor::Employee { employee_id: access.employee_id },
        }
    }
}

/// The answer to whoever lacks a permission.
pub(crate) fn forbidden(permission: Permission) -> Problem {
    Problem::new(ErrorCode::Forbidden).detail(format!("this needs the permission {permission}"))
}

/// Why a token does not tell who is asking.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The token is nobody's.
    Unknown,
    /// Who could tell is away; nobody is let in meanwhile.
    Unavailable(BoxError),
}

/// Turns a bearer token into a principal.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who holds this token.
    ///
    /// # Errors
    /// Nobody does, or it cannot be found out now.
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal>;
}

/// Knows one token, the operator's, and compares it in constant time.
#[derive(Clone, Debug)]
pub struct OperatorToken(Secret);

impl OperatorToken {
    /// The token from [`configured_operator_token`] or [`crate::DataDir::operator_token`].
    ///
    /// # Panics
    /// When it is empty: then everybody would be an operator.
    #[must_use]
    pub fn new(token: Secret) -> Self {
        assert!(!token.is_empty(), "an empty operator token would let everybody in");
        Self(token)
    }
}

/// The operator's token where the configuration names one, which every copy of every part can share; `None` where each
/// data directory has its own.
///
/// # Errors
/// It is too short.
pub fn configured_operator_token(settings: &Settings) -> Result<Option<Secret>, BoxError> {
    let token: Secret = settings.get("auth.operator_token")?;
    match token.expose().len() {
        0 => Ok(None),
        OPERATOR_TOKEN_BYTES_MIN.. => Ok(Some(token)),
        _ => Err(format!("auth.operator_token needs at least {OPERATOR_TOKEN_BYTES_MIN} characters").into()),
    }
}

/// The token with which a tool beside running parts shows that it is the operator's.
///
/// # Errors
/// The configured one is too short, or there is none and the one in the data directory cannot be read.
pub fn operator_token_of(settings: &Settings) -> Result<Secret, BoxError> {
    match configured_operator_token(settings)? {
        Some(token) => Ok(token),
        None => Ok(DataDir::read_operator_token(&settings.get::<PathBuf>("data_dir")?)?),
    }
}

#[async_trait]
impl Authenticator for OperatorToken {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        if self.0.matches(token) { Ok(Principal::Operator) } else { Err(Refusal::Unknown) }
    }
}

/// Asks several authenticators in turn; the first that knows the token answers.
#[async_trait]
impl Authenticator for Vec<Arc<dyn Authenticator>> {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        let mut refusal = Refusal::Unknown;
        for authenticator in self {
            match authenticator.authenticate(token).await {
                Ok(principal) => return Ok(principal),
                // "Away" outweighs "nobody's": the token may well be somebody's.
                Err(Refusal::Unknown) => {}
                Err(away) => refusal = away,
            }
        }
        Err(refusal)
    }
}

/// The principal of a request, of whatever kind. As a handler's argument it makes the route
/// answer 401 to everybody who is not known.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let authenticator = parts
            .extensions
            .get::<Arc<dyn Authenticator>>()
            .ok_or_else(|| Problem::internal("the router was given no authenticator"))?;
        let token =
            bearer(parts).ok_or_else(|| Problem::new(ErrorCode::Unauthenticated).detail("send a bearer token"))?;
        let principal = authenticator.authenticate(token).await.map_err(|refusal| match refusal {
            Refusal::Unknown => Problem::new(ErrorCode::Unauthenticated).detail("the token is not known"),
            Refusal::Unavailable(source) => {
                Problem::new(ErrorCode::Unavailable).detail("who you are cannot be found out now").source(source)
            }
        })?;
        parts.extensions.insert(principal.clone());
        Ok(principal)
    }
}

/// As a handler's argument it makes the route the operator's: 401 to the unknown, 403 to others.
#[derive(Clone, Copy, Debug)]
pub struct RequireOperator;

impl<S: Send + Sync> FromRequestParts<S> for RequireOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Principal::from_request_parts(parts, state).await? {
            Principal::Operator => Ok(Self),
            Principal::Employee(_) => Err(Problem::new(ErrorCode::Forbidden).detail("this is for operators")),
        }
    }
}

/// Gives the routes so far an authenticator, which [`Principal`] and [`RequireOperator`] need.
pub fn with_authenticator(router: Router, authenticator: Arc<dyn Authenticator>) -> Router {
    router.layer(Extension(authenticator))
}

/// Makes all routes so far the operator's. Unknown routes stay 404 for everybody.
pub fn require_operator(router: Router, authenticator: Arc<dyn Authenticator>) -> Router {
    with_authenticator(router.route_layer(from_extractor::<RequireOperator>()), authenticator)
}

/// The bearer token that a request carries.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}
