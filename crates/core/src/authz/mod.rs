//! Who may do what. The only module that decides it, and the only one that can make an [`Authorized`] row or a
//! [`Permit`]: writes take one of them, so a forgotten check does not compile (`docs/core/authz.md`).
//!
//! The signatures are final; what stands behind them is the first slice: system.admin may everything, everybody may
//! read and end his own tokens, and that is all.

mod access;

use std::ops::Deref;

use chandler_model::kinds::{Action, Kind, Place, Visible};
use chandler_model::tokens::Token;

pub use access::Access;
pub(crate) use access::{SYSTEM_ADMIN, SYSTEM_SCOPE, subject};

use crate::Core;
use crate::cx::{Actor, Cx};
use crate::error::{Denied, Error, Kind as ErrorKind, Result};
use crate::resource::Resource;
use chandler_model::ids::Selector;

/// A row that the actor may do `action` to. Only this module makes one.
#[derive(Clone, Debug)]
pub struct Authorized<T> {
    row: T,
    action: Action,
}

impl<T> Authorized<T> {
    /// The row, when it is only to be shown.
    pub fn into_inner(self) -> T {
        self.row
    }

    /// What was asked for.
    pub const fn action(&self) -> Action {
        self.action
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.row
    }
}

/// The right to create a row of one kind in one place. Only this module makes one.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    pub(crate) kind: Kind,
}

/// Finds the row that a selector names, if the actor may do that to it. Finding and being allowed are one call.
///
/// # Errors
/// `Denied` with `Absent`, `Hidden` or `Forbidden`; each dialect says these in its own way.
pub async fn find<T: Resource>(
    core: &Core,
    cx: &Cx,
    action: Action,
    selector: impl Into<Selector<T>>,
) -> Result<Authorized<T>> {
    let Some(row) = T::load(core.db(), selector.into()).await? else {
        return Err(Error::absent(T::KIND, action));
    };
    let kind = row.kind();
    if allowed(cx, action, kind) {
        Ok(Authorized { row, action })
    } else {
        Err(ErrorKind::Denied { why: Denied::Hidden, action, resource: kind }.into())
    }
}

/// One of the actor's own tokens. Another person's is as good as absent: tokens are made and ended for oneself.
pub async fn find_own_token(core: &Core, cx: &Cx, action: Action, id: Selector<Token>) -> Result<Authorized<Token>> {
    let own = match Token::load(core.db(), id).await? {
        Some(row) if cx.user_id() == Some(row.user_id) => row,
        _ => return Err(Error::absent(Kind::Token, action)),
    };
    Ok(Authorized { row: own, action })
}

/// The right to create a row of that kind in that place.
pub fn create_in(cx: &Cx, kind: Kind, _place: Place) -> Result<Permit> {
    if allowed(cx, Action::Create, kind) {
        Ok(Permit { kind })
    } else {
        Err(ErrorKind::Denied { why: Denied::Forbidden, action: Action::Create, resource: kind }.into())
    }
}

/// The right of a person to make a token for himself.
pub fn create_own_token(cx: &Cx) -> Result<Permit> {
    match cx.actor {
        Actor::Person { .. } => Ok(Permit { kind: Kind::Token }),
        Actor::System => {
            Err(ErrorKind::Denied { why: Denied::Forbidden, action: Action::Create, resource: Kind::Token }.into())
        }
    }
}

/// The right to start work of a kind from a row that may be executed: a launch creates a job below its anchor.
pub fn launch_from<T: Resource>(anchor: &Authorized<T>, kind: Kind) -> Result<Permit> {
    if anchor.action == Action::Execute {
        Ok(Permit { kind })
    } else {
        Err(ErrorKind::Denied { why: Denied::Forbidden, action: Action::Execute, resource: T::KIND }.into())
    }
}

/// The right to do something that belongs to no row of its own.
///
/// # Errors
/// `Denied` with `Forbidden`.
pub fn require(cx: &Cx, action: Action, kind: Kind) -> Result<()> {
    if allowed(cx, action, kind) {
        Ok(())
    } else {
        Err(ErrorKind::Denied { why: Denied::Forbidden, action, resource: kind }.into())
    }
}

/// Which rows of a kind a list may show.
#[must_use]
pub fn visible(cx: &Cx, kind: Kind) -> Visible {
    if allowed(cx, Action::Read, kind) { Visible::All } else { Visible::Nothing }
}

fn allowed(cx: &Cx, action: Action, kind: Kind) -> bool {
    match &cx.actor {
        Actor::System => true,
        // Not even system.admin reads a credential's secret; states he does.
        Actor::Person { access, .. } => access.is_admin() && (action != Action::Secret || kind == Kind::State),
    }
}
