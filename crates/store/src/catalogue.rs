//! Every static statement of the store, so that a test can prepare each on both engines.

use crate::seam::Catalogued;

/// All statements, file by file.
#[must_use]
pub fn statements() -> Vec<&'static dyn Catalogued> {
    [
        crate::audit::STATEMENTS,
        crate::blobs::STATEMENTS,
        crate::changes::STATEMENTS,
        crate::clusters::STATEMENTS,
        crate::credential_types::STATEMENTS,
        crate::credentials::STATEMENTS,
        crate::environments::STATEMENTS,
        crate::grants::STATEMENTS,
        crate::jobs::attempts::STATEMENTS,
        crate::jobs::keys::STATEMENTS,
        crate::jobs::look::STATEMENTS,
        crate::jobs::queue::STATEMENTS,
        crate::jobs::rows::STATEMENTS,
        crate::jobs::steps::STATEMENTS,
        crate::logs::STATEMENTS,
        crate::organizations::STATEMENTS,
        crate::settings::STATEMENTS,
        crate::states::STATEMENTS,
        crate::tags::STATEMENTS,
        crate::tallies::STATEMENTS,
        crate::task_events::STATEMENTS,
        crate::templates::STATEMENTS,
        crate::timers::STATEMENTS,
        crate::tokens::STATEMENTS,
        crate::users::STATEMENTS,
        crate::workers::STATEMENTS,
        crate::workspaces::STATEMENTS,
    ]
    .concat()
}
