//! The one error of the core: machine-readable kinds, no words for clients. Each dialect words them itself, by an
//! exhaustive `match`; causes go to the log only.

use chandler_model::errors::{Code, FieldError};
use chandler_model::kinds::{Action, Kind as Resource};
use chandler_store::seam::Transient;
use chandler_store::{Error as StoreError, constraints};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with what is needed to say it in any dialect.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    /// For the log, never for a client.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not even readable: broken JSON, wrong encoding. `at` says where, if known.
    Malformed {
        at: Option<String>,
    },
    /// Readable, but some fields are wrong. All of them, not only the first.
    Invalid(Vec<FieldError>),
    Unauthenticated {
        why: Unauthenticated,
    },
    Denied {
        why: Denied,
        action: Action,
        resource: Resource,
    },
    /// The caller named a version that is not the present one.
    Precondition,
    /// Another living row has that value.
    Conflict {
        resource: Resource,
        field: &'static str,
    },
    /// Not in this state.
    WrongState {
        resource: Resource,
        state: &'static str,
    },
    /// Something still depends on it; how many of which kind.
    InUse {
        resource: Resource,
        by: Vec<(Resource, i64)>,
    },
    /// Other rows name it. `names` has some of them, as far as the actor may see them.
    Attached {
        resource: Resource,
        to: Resource,
        count: i64,
        names: Vec<String>,
    },
    /// The default organization and the like.
    Protected {
        resource: Resource,
    },
    TooLarge {
        limit: usize,
    },
    UnsupportedMedia {
        want: &'static str,
    },
    MethodNotAllowed,
    NoSuchRoute,
    RateLimited {
        retry_after_s: u32,
    },
    Unavailable {
        retry_after_s: u32,
    },
    Timeout,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// Nothing was shown.
    Missing,
    /// What was shown is wrong, unknown, expired, or its owner is suspended. Callers are not told which.
    Wrong,
}

/// Why something was refused (`docs/core/authz.md` 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such row.
    Absent,
    /// There is one, and the actor may not know.
    Hidden,
    /// The actor sees it and may not do this.
    Forbidden,
}

impl Error {
    #[must_use]
    pub fn absent(resource: Resource, action: Action) -> Self {
        Kind::Denied { why: Denied::Absent, action, resource }.into()
    }

    /// One wrong field.
    #[must_use]
    pub fn field(path: &str, code: Code) -> Self {
        Kind::Invalid(vec![FieldError::new(path, code)]).into()
    }

    /// A failure of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: Kind::Internal, cause: Some(cause.into()) }
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self { kind, cause: None }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{:?}: {cause}", self.kind),
            None => write!(f, "{:?}", self.kind),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Unique { constraint, .. } => match constraints::unique(constraint) {
                Some((resource, field)) => Kind::Conflict { resource, field },
                None => Kind::Internal,
            },
            StoreError::Unavailable(_) | StoreError::Serialization(_) | StoreError::Deadlock(_) => {
                Kind::Unavailable { retry_after_s: 1 }
            }
            StoreError::NotFound
            | StoreError::ForeignKey { .. }
            | StoreError::Check { .. }
            | StoreError::NotNull { .. }
            | StoreError::Other(_) => Kind::Internal,
        };
        Self { kind, cause: Some(Box::new(error)) }
    }
}

impl Transient for Error {
    fn transient(&self) -> bool {
        self.cause.as_ref().and_then(|cause| cause.downcast_ref::<StoreError>()).is_some_and(Transient::transient)
    }
}
