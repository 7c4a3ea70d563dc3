//! Container jobs: the image's own program.

use chandler_model::jobs::ContainerIntent;

use super::Prepared;
use super::plain::Plain;
use crate::recipe::Program;

pub(super) fn prepare(intent: &ContainerIntent) -> Prepared {
    Prepared {
        program: Program::Image(intent.run.clone()),
        reader: Box::new(Plain::new("The container")),
        targets: Vec::new(),
    }
}
