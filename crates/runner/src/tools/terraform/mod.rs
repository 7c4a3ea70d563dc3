//! Terraform in steps.

use chandler_core::jobs::link::Materials;
use chandler_model::jobs::{Fault, JobStep, TerraformIntent};

use super::{Prepared, Unpreparable};

pub(super) fn prepare(
    _intent: &TerraformIntent,
    _step: &JobStep,
    _materials: &Materials,
) -> Result<Prepared, Unpreparable> {
    Err((Fault::Platform, "This worker runs no Terraform.".to_owned()))
}
