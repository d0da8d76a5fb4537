//! How a part declares its HTTP API: every route says who may use it, and the description is made from the same lines.
//!
//! ```
//! use chassis::api::Api;
//! use utoipa_axum::routes;
//!
//! #[utoipa::path(get, path = "/api/v1/time", responses((status = 200, body = String)))]
//! async fn time() -> &'static str {
//!     "noon"
//! }
//!
//! let router = Api::new("clock-service", "Tells the time.").logged_in(routes!(time)).into_router(());
//! ```

mod schemas;

use std::fmt;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use contracts::access::Permission;
use contracts::audit::Incident;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_swagger_ui::SwaggerUi;

use crate::auth::{Principal, forbidden};
use crate::error_code::ErrorCode;
use crate::problem::{PROBLEM_JSON, Problem, ProblemDocument};
use crate::security_log::SecurityLog;

pub use schemas::PatchOf;

/// Where the description of the API is.
pub const OPENAPI_PATH: &str = "/openapi.json";
/// Where it can be looked at and tried.
pub const DOCS_PATH: &str = "/docs";
/// The field of an operation that says who may use it: `public`, `logged-in`, `operator`, or a permission.
pub const ACCESS_FIELD: &str = "x-access";

/// The name of the security scheme in the description.
const SCHEME: &str = "bearer";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Whoever is logged in, and the operator.
    LoggedIn,
    /// Whoever holds the permission for any scope, and the operator. The handler checks the scope.
    Permitted(Permission),
    /// The operator alone.
    Operator,
}

impl Access {
    fn name(self) -> String {
        match self {
            Self::Public => "public".to_owned(),
            Self::LoggedIn => "logged-in".to_owned(),
            Self::Permitted(permission) => permission.to_string(),
            Self::Operator => "operator".to_owned(),
        }
    }

    fn check(self, principal: &Principal) -> Result<(), Problem> {
        match (self, principal) {
            (Self::Public | Self::LoggedIn, _) | (Self::Operator, Principal::Operator) => Ok(()),
            (Self::Permitted(permission), principal) if principal.may(permission) => Ok(()),
            (Self::Permitted(permission), _) => Err(forbidden(permission)),
            (Self::Operator, _) => Err(Problem::new(ErrorCode::Forbidden).detail("this is for operators")),
        }
    }
}

/// An API while it is being declared. A route can only be added together with who may use it.
pub struct Api<S>(OpenApiRouter<S>);

impl<S> fmt::Debug for Api<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// An API without routes yet.
    #[must_use]
    pub fn new(title: &str, description: &str) -> Self {
        let info = InfoBuilder::new()
            .title(title)
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(description))
            .license(Some(utoipa::openapi::License::new("Apache-2.0")));
        let mut schemas = Vec::new();
        ProblemDocument::schemas(&mut schemas);
        schemas.push((ProblemDocument::name().into_owned(), ProblemDocument::schema()));
        let components = ComponentsBuilder::new()
            .schemas_from_iter(schemas)
            .security_scheme(SCHEME, SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        let document = OpenApiBuilder::new().info(info.build()).components(Some(components.build())).build();
        Self(OpenApiRouter::with_openapi(document))
    }

    /// Routes for everybody, without a token.
    #[must_use]
    pub fn public(self, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(Access::Public, routes)
    }

    /// Routes for whoever is logged in.
    #[must_use]
    pub fn logged_in(self, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(Access::LoggedIn, routes)
    }

    /// Routes for whoever holds `permission` for any scope; the handler checks the scope of what it touches.
    #[must_use]
    pub fn permitted(self, permission: Permission, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(Access::Permitted(permission), routes)
    }

    /// Routes for the operator alone.
    #[must_use]
    pub fn operator(self, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(Access::Operator, routes)
    }

    /// All routes of another API.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }

    fn add(self, access: Access, (components, mut paths, router): UtoipaMethodRouter<S>) -> Self {
        for operation in paths.paths.values_mut().flat_map(operations) {
            describe_access(operation, access);
        }
        let mut all = self.0.routes((components, paths, router.layer(from_fn_with_state(access, guard))));
        schemas::flatten(all.get_openapi_mut());
        Self(all)
    }

    /// The description of the API.
    #[must_use]
    pub fn openapi(&self) -> &OpenApi {
        self.0.get_openapi()
    }

    /// The routes alone, for whoever adds them to another API: what is not for users is not in the users' description.
    pub fn into_routes(self, state: S) -> Router {
        self.0.with_state(state).split_for_parts().0
    }

    /// The routes, with the description and a page that shows it.
    pub fn into_router(self, state: S) -> Router {
        let (router, document) = self.0.with_state(state).split_for_parts();
        router.merge(SwaggerUi::new(DOCS_PATH).url(OPENAPI_PATH, document))
    }
}

/// Every operation of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}

fn describe_access(operation: &mut Operation, access: Access) {
    let extension = ExtensionsBuilder::new().add(ACCESS_FIELD, access.name()).build();
    operation.extensions.get_or_insert_default().merge(extension);
    operation.security = Some(match access {
        Access::Public => Vec::new(),
        _ => vec![SecurityRequirement::new::<_, [&str; 0], &str>(SCHEME, [])],
    });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemDocument::name()))).build();
    let problem = ResponseBuilder::new().description("What went wrong").content(PROBLEM_JSON, content).build();
    operation.responses.responses.insert("default".to_owned(), problem.into());
}

/// Lets in who may come in, and records who was turned away: here or by the handler.
async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let log = parts.extensions.get::<SecurityLog>().cloned();
    let asked = format!("{} {}", parts.method, route(&parts.extensions));
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let principal = Principal::from_request_parts(&mut parts, &()).await;
    let known = principal.as_ref().ok().cloned();
    let response = match principal.and_then(|principal| access.check(&principal)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    };
    let incident = match response.status().as_u16() {
        401 => Some(Incident::Unauthenticated),
        403 => Some(Incident::Forbidden),
        _ => None,
    };
    if let (Some(log), Some(incident)) = (log, incident) {
        log.record(incident, known.map(|principal| principal.actor()), asked, address);
    }
    response
}

/// The route as it was declared, so that records do not carry what strangers put into paths.
fn route(extensions: &axum::http::Extensions) -> &str {
    extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str)
}
