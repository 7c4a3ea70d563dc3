//! Container jobs: the image's own program.

use chandler_core::jobs::link::Materials;
use chandler_model::jobs::{ContainerIntent, Fault};

use super::plain::Plain;
use super::{Prepared, Unpreparable};
use crate::recipe::{Own, Program};

/// # Errors
/// Secrets are to be files: an image has no directory of the job.
pub(super) fn prepare(intent: &ContainerIntent, materials: &Materials) -> Result<Prepared, Unpreparable> {
    let secrets = &materials.secrets;
    if !secrets.files.is_empty() {
        let reason = "A container takes secrets as environment variables only, not as files.";
        return Err((Fault::Platform, reason.to_owned()));
    }
    let env = secrets.env.clone().into_iter().collect();
    Ok(Prepared {
        program: Program::Image(Own { run: intent.run.clone(), env }),
        reader: Box::new(Plain::new("The container")),
        targets: Vec::new(),
    })
}
