//! Ansible playbooks.

use chandler_core::jobs::link::Materials;
use chandler_model::jobs::{AnsibleIntent, Fault};

use super::{Prepared, Unpreparable};

pub(super) fn prepare(_intent: &AnsibleIntent, _materials: &Materials) -> Result<Prepared, Unpreparable> {
    Err((Fault::Platform, "This worker runs no playbooks.".to_owned()))
}
