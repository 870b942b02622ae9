//! What a client is told when something goes wrong: the one place that knows HTTP status and `M_*` codes.
//!
//! One exhaustive match per domain error, so that a new kind of trouble does not compile until somebody has decided what a client sees of it. What
//! is our own fault is logged with a reference, and the client is told nothing but the reference.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use ruma::api::error::{DeserializationError, FromHttpRequestError};
use serde_json::{Map, Value};

/// An answer that says what went wrong.
pub struct Error(Box<Told>);

struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Further keys of the answer; when the code is empty, the whole of it.
    more: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code,
            message: message.into(),
            more: Map::new(),
            retry_after: None,
        }))
    }

    fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(key.to_owned(), value.into());
        self
    }

    /// Something is our own fault. The log has `what`, the client a reference to that line.
    pub fn internal(what: impl fmt::Display) -> Self {
        let reference = reference();
        tracing::error!(%reference, "{what}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "M_UNKNOWN",
            format!("Internal error; the server's log says more under {reference}"),
        )
    }

    /// Nothing can be done now, for lack of room or time. Trying again later may help.
    pub fn unavailable(what: impl fmt::Display) -> Self {
        tracing::warn!("refused a request: {what}");
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "M_UNKNOWN",
            format!("The server cannot do this now: {what}"),
        );
        error.0.retry_after = Some(Duration::from_secs(5));
        error
    }

    /// This may not be done, or not by this user.
    pub fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", why)
    }

    /// There is no such thing.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", what)
    }

    /// There is no such endpoint.
    pub fn unrecognized(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_UNRECOGNIZED", what)
    }

    /// There is such an endpoint, but not with this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "M_UNRECOGNIZED",
            "This endpoint has no such method",
        )
    }

    /// A parameter has a value that makes no sense.
    pub fn invalid_param(why: impl Into<String>) -> Self {
        Self::bad("M_INVALID_PARAM", why)
    }

    /// A parameter that is needed is missing.
    pub fn missing_param(what: impl Into<String>) -> Self {
        Self::bad("M_MISSING_PARAM", what)
    }

    /// Something is wrong with the request for which there is no better word.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::bad("M_UNKNOWN", why)
    }

    /// The body is JSON, but not what it ought to be.
    pub fn bad_json(why: impl Into<String>) -> Self {
        Self::bad("M_BAD_JSON", why)
    }

    /// The body is no JSON.
    pub fn not_json(why: impl Into<String>) -> Self {
        Self::bad("M_NOT_JSON", why)
    }

    /// The request or a part of it is too large.
    pub fn too_large(why: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", why)
    }

    /// A body took too long to arrive.
    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "M_UNKNOWN",
            "The request took too long to arrive",
        )
    }

    /// The body stopped in the middle.
    pub(crate) fn broken_off() -> Self {
        Self::bad("M_UNKNOWN", "The request broke off")
    }

    /// No token came with the request.
    pub fn missing_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_MISSING_TOKEN",
            "An access token is needed",
        )
    }

    /// The token is not valid, or not any more. With `soft_logout` the client may keep its state and sign in anew.
    pub fn unknown_token(soft_logout: bool) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_UNKNOWN_TOKEN",
            "The access token is unknown or has expired",
        )
        .with("soft_logout", soft_logout)
    }

    /// The account is locked: its sessions wait, and only logging out is possible.
    pub fn user_locked() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_USER_LOCKED",
            "This account has been locked",
        )
        .with("soft_logout", true)
    }

    /// A request between servers does not prove who sent it.
    pub fn unauthorized(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", why)
    }

    /// Guests may not do this.
    pub fn guest_access_forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "M_GUEST_ACCESS_FORBIDDEN",
            "Guests may not do this",
        )
    }

    /// Too often.
    pub fn limit_exceeded(retry_after: Duration) -> Self {
        // Rounded up, or a client that believes us comes a moment too early.
        let millis = u64::try_from(retry_after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "M_LIMIT_EXCEEDED",
            "Too many requests",
        )
        .with("retry_after_ms", millis);
        error.0.retry_after = Some(retry_after);
        error
    }

    /// Addresses and telephone numbers are not managed here.
    pub fn third_party_ids_not_supported() -> Self {
        Self::bad(
            "M_THREEPID_DENIED",
            "This server does not manage e-mail addresses and telephone numbers",
        )
    }

    /// More is needed to prove who asks (CS "User-interactive authentication"): the stages, and what is done of them.
    #[must_use]
    pub fn interactive(stages: Map<String, Value>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "", "");
        error.0.more = stages;
        error
    }

    /// Why a request could not be read. `body` tells what is no JSON from what is JSON of the wrong shape.
    pub(crate) fn unreadable(error: FromHttpRequestError, body: &[u8]) -> Self {
        let error = match error {
            FromHttpRequestError::Deserialization(error) => error,
            other => return Self::bad_json(other.to_string()),
        };
        match error {
            DeserializationError::Json(error) if !error.is_data() => {
                Self::not_json(error.to_string())
            }
            DeserializationError::Json(error) => {
                match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                    Err(error) if !body.is_empty() => Self::not_json(error.to_string()),
                    Ok(_) if !body.trim_ascii_start().starts_with(b"{") => {
                        Self::bad_json("the body has to be an object".to_owned())
                    }
                    _ => Self::misshapen(&error),
                }
            }
            DeserializationError::Query(error)
                if error.to_string().starts_with("missing field") =>
            {
                Self::missing_param(error.to_string())
            }
            error => Self::invalid_param(error.to_string()),
        }
    }

    /// JSON of the wrong shape.
    pub(crate) fn misshapen(error: &serde_json::Error) -> Self {
        let why = error.to_string();
        if why.starts_with("missing field") {
            Self::missing_param(why)
        } else if error.line() == 0 {
            // Only what stands in the path has no line.
            Self::invalid_param(why)
        } else {
            Self::bad_json(why)
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The answer's body, for answers that hold several errors.
    #[must_use]
    pub fn into_body(self) -> Map<String, Value> {
        let Told {
            code,
            message,
            mut more,
            ..
        } = *self.0;
        if !code.is_empty() {
            more.insert("errcode".to_owned(), code.into());
            more.insert("error".to_owned(), message.into());
        }
        more
    }

    /// The answer.
    #[must_use]
    pub fn into_response(self) -> Response {
        let (status, retry_after) = (self.0.status, self.0.retry_after);
        let body = self.into_body();
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        match error {
            E::Conflict { .. } | E::Full | E::ReadOnly(_) | E::Busy | E::Closed => {
                Self::unavailable(error)
            }
            E::Corrupt { .. }
            | E::Unstorable { .. }
            | E::Engine(_)
            | E::Newer { .. }
            | E::UnknownNumber { .. }
            | E::Panicked(_)
            | E::Bug(_) => Self::internal(error),
        }
    }
}

impl From<event::Error> for Error {
    fn from(error: event::Error) -> Self {
        use event::Error as E;
        match error {
            E::Json { .. } => Self::not_json(error.to_string()),
            E::NotCanonical { .. } | E::Field { .. } => Self::bad_json(error.to_string()),
            E::TooLarge { .. } => Self::too_large(error.to_string()),
            E::Unsigned { .. } | E::NoKey { .. } | E::BadSignature { .. } => {
                Self::forbidden(error.to_string())
            }
            E::NoReferenceHash(_) | E::OtherEvent(_) | E::Key(_) | E::Bug(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<peers::Error> for Error {
    fn from(error: peers::Error) -> Self {
        use peers::Error as E;
        let told = error.to_string();
        match error {
            E::Disabled => Self::forbidden(told),
            E::Ourselves(_) => Self::invalid_param(told),
            E::Unauthorised(_) => Self::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", told),
            // What the other server says about its own things is passed on; anything else about it is a failure on the way.
            E::Answered { status: 403, .. } => Self::forbidden(told),
            E::Answered { status: 404, .. } => Self::not_found(told),
            E::BackingOff { .. }
            | E::Unreachable { .. }
            | E::Denied { .. }
            | E::TooLarge { .. }
            | E::Malformed { .. }
            | E::Answered { .. } => Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", told),
            E::TimedOut { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "M_UNKNOWN", told),
            E::KeyExposed { .. }
            | E::KeyMalformed { .. }
            | E::KeyFile { .. }
            | E::Configuration { .. }
            | E::Unsignable(_) => Self::internal(told),
            E::Store(error) => error.into(),
        }
    }
}

impl From<rooms::Error> for Error {
    fn from(error: rooms::Error) -> Self {
        use rooms::Error as E;
        let told = error.to_string();
        match error {
            E::NoSuchRoom | E::NoSuchEvent | E::NoSuchState | E::NoSuchAlias | E::NotFound(_) => {
                Self::not_found(told)
            }
            E::NotJoined | E::Forbidden(_) | E::NotVisible(_) => Self::forbidden(told),
            E::StillJoined => Self::bad("M_UNKNOWN", told),
            E::TooLarge(_) => Self::too_large(told),
            E::BadEvent(_) => Self::bad_json(told),
            E::DuplicateAnnotation => Self::bad("M_DUPLICATE_ANNOTATION", told),
            // CS "Threading" names this code for a thread on an event that relates to another.
            E::BadRelation(_) => Self::bad("M_UNKNOWN", told),
            E::BadState(_) => Self::bad("M_INVALID_ROOM_STATE", told),
            E::BadParameter(_) | E::ForeignAlias(_) => Self::invalid_param(told),
            E::BadAlias(_) => Self::bad("M_BAD_ALIAS", told),
            E::DelayTooLong => Self::unknown(told)
                .with("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED")
                .with(
                    "org.matrix.msc4140.max_delay",
                    rooms::delayed::LONGEST.as_secs() * 1000,
                ),
            E::TooManyDelayed => Self::unknown(told).with(
                "org.matrix.msc4140.errcode",
                "M_MAX_DELAYED_EVENTS_EXCEEDED",
            ),
            // CS "PUT /directory/room/{roomAlias}" wants this code, unlike creating a room.
            E::AliasInUse(_) => Self::new(StatusCode::CONFLICT, "M_UNKNOWN", told),
            E::UnsupportedVersion(_) => Self::bad("M_UNSUPPORTED_ROOM_VERSION", told),
            // SS "GET /make_join" names these three.
            E::IncompatibleVersion(version) => Self::bad("M_INCOMPATIBLE_ROOM_VERSION", told)
                .with("room_version", version.as_str()),
            E::UnableToAuthorise => Self::bad("M_UNABLE_TO_AUTHORISE_JOIN", told),
            E::UnableToGrant => Self::bad("M_UNABLE_TO_GRANT_JOIN", told),
            E::NobodyToAsk => Self::not_found(told),
            E::Refused {
                status, errcode, ..
            } => refused_elsewhere(status, &errcode, told),
            E::Misbehaved { .. } => Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", told),
            E::Missing(_) => Self::internal(told),
            E::Unreachable(_) | E::NotHad(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", told)
            }
            E::Busy => Self::unavailable(told),
            E::Store(error) => error.into(),
            E::Bug(_) => Self::internal(told),
        }
    }
}

/// Another server's refusal, as far as it tells the client something: what we asked wrongly, or could not ask, is our trouble.
fn refused_elsewhere(status: u16, errcode: &str, told: String) -> Error {
    match (status, errcode) {
        (403, _) => Error::forbidden(told),
        (404, _) => Error::not_found(told),
        (_, "M_UNABLE_TO_AUTHORISE_JOIN" | "M_UNABLE_TO_GRANT_JOIN") => Error::forbidden(told),
        (_, "M_INCOMPATIBLE_ROOM_VERSION") => Error::bad("M_UNSUPPORTED_ROOM_VERSION", told),
        (429, _) => Error::limit_exceeded(Duration::from_secs(5)),
        _ => Error::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", told),
    }
}

impl From<users::Error> for Error {
    fn from(error: users::Error) -> Self {
        use users::Error as E;
        let told = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::UserInUse => Self::bad("M_USER_IN_USE", told),
            E::InvalidUsername(_) => Self::bad("M_INVALID_USERNAME", told),
            E::Exclusive => Self::bad("M_EXCLUSIVE", told),
            E::WeakPassword(_) => Self::bad("M_WEAK_PASSWORD", told),
            E::Forbidden(refusal) => refused(refusal, told),
            E::Deactivated => Self::new(StatusCode::FORBIDDEN, "M_USER_DEACTIVATED", told),
            E::UnknownToken { soft } => Self::unknown_token(soft),
            // CS "User-interactive authentication": the client has to begin again, and the endpoint exists.
            E::NotFound(users::What::UiaSession) => Self::bad("M_UNKNOWN", told),
            E::NotFound(_) => Self::not_found(told),
            E::WrongVersion { current } => {
                Self::new(StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION", told)
                    .with("current_version", current)
            }
            E::InvalidParam(_) | E::KeyExists(_) | E::TooMany(_) => Self::invalid_param(told),
            E::MissingParam(_) => Self::missing_param(told),
            E::BadJson(_) => Self::bad_json(told),
            E::InvalidSignature(_) => Self::bad("M_INVALID_SIGNATURE", told),
            E::KeyTooLarge => Self::bad("M_KEY_TOO_LARGE", told),
            E::ProfileTooLarge => Self::bad("M_PROFILE_TOO_LARGE", told),
            E::TooLarge(_) => Self::too_large(told),
            // CS "PUT /user/{userId}/account_data/{type}" names status and code.
            E::ServerManaged(_) => Self::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", told),
            E::PushRule(error) => push_rule(error, told),
            E::LimitExceeded { retry_after } => Self::limit_exceeded(retry_after),
            E::Busy => Self::unavailable(told),
            E::Hash(_) | E::Damaged(_) | E::Bug(_) => Self::internal(told),
        }
    }
}

fn refused(refusal: users::Refusal, told: String) -> Error {
    use users::Refusal as R;
    match refusal {
        R::Password
        | R::LoginToken
        | R::RegistrationToken
        | R::Mac
        | R::NotYours
        | R::OtherRequest => Error::forbidden(told),
        R::KeyIsDevice => Error::invalid_param(told),
    }
}

fn push_rule(error: users::RuleError, told: String) -> Error {
    use users::RuleError as R;
    match error {
        R::ServerDefault | R::InvalidId | R::NextToServerDefault | R::Order | R::UnknownKind => {
            Error::invalid_param(told)
        }
        R::UnknownNeighbour => Error::bad("M_UNKNOWN", told),
    }
}

impl From<sync::Error> for Error {
    fn from(error: sync::Error) -> Self {
        use sync::Error as E;
        let told = error.to_string();
        match error {
            E::BadToken | E::UnknownFilter => Self::invalid_param(told),
            E::BadFilter(_) | E::BadRequest(_) => Self::bad_json(told),
            E::TooMany(_) => Self::invalid_param(told),
            E::UnknownPos => Self::bad("M_UNKNOWN_POS", told),
            E::Store(error) => error.into(),
            E::Rooms(error) => error.into(),
            E::Users(error) => error.into(),
            E::Bug(_) => Self::internal(told),
        }
    }
}

impl From<media::Error> for Error {
    fn from(error: media::Error) -> Self {
        use media::Error as E;
        let told = error.to_string();
        match error {
            E::NotFound => Self::not_found(told),
            E::NotYetUploaded => Self::new(StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED", told),
            E::AlreadyUploaded => Self::new(StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA", told),
            E::NotYours => Self::forbidden(told),
            E::TooManyReserved => Self::limit_exceeded(Duration::from_secs(60)),
            E::TooLarge(_) => Self::too_large(told),
            E::BadAddress(_) | E::BadThumbnail(_) => Self::invalid_param(told),
            E::NoThumbnail => Self::bad("M_UNKNOWN", told),
            E::BrokenUpload(_) => Self::broken_off(),
            E::BadRemote(_) => Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", told),
            E::Peers(error) => error.into(),
            E::File(error) if error.kind() == io::ErrorKind::StorageFull => {
                Self::unavailable("the disk is full")
            }
            E::File(_) | E::Bug(_) => Self::internal(told),
            E::Store(error) => error.into(),
        }
    }
}

impl From<actions::Error> for Error {
    fn from(error: actions::Error) -> Self {
        use actions::Error as E;
        let told = error.to_string();
        match error {
            E::NotAllowed(_) | E::RegistrationClosed(_) => Self::forbidden(told),
            E::GuestsNotAllowed => Self::guest_access_forbidden(),
            E::Suspended => Self::new(StatusCode::FORBIDDEN, "M_USER_SUSPENDED", told),
            E::InviteBlocked(_) => Self::new(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", told),
            E::InvalidParameter(_) => Self::invalid_param(told),
            E::MissingParameter(_) => Self::missing_param(told),
            E::BadJson(_) => Self::bad_json(told),
            E::UnsupportedRoomVersion(_) => Self::bad("M_UNSUPPORTED_ROOM_VERSION", told),
            E::InvalidRoomState(_) => Self::bad("M_INVALID_ROOM_STATE", told),
            E::AliasTaken(_) => Self::bad("M_ROOM_IN_USE", told),
            E::NotFound(_) => Self::not_found(told),
            E::Locked => Self::user_locked(),
            E::Rooms(error) => error.into(),
            E::Users(error) => error.into(),
            E::Peers(error) => error.into(),
            E::Bug(_) => Self::internal(told),
        }
    }
}

/// A word that is found again in the log.
fn reference() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{count}", std::process::id())
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told {
            status,
            code,
            message,
            ..
        } = &*self.0;
        write!(f, "{} {code}: {message}", status.as_u16())
    }
}

impl std::error::Error for Error {}
