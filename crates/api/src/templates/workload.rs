//! The content of a workload template.

use chandler_model::environments::Pull;
use chandler_model::templates::WorkloadSpec;
use serde::Serialize;

use crate::environments::RunView;
use crate::input::{Fields, FromFields, Words};

#[derive(Serialize)]
pub(super) struct View<'a> {
    image: Option<&'a str>,
    pull: Option<Pull>,
    run: RunView<'a>,
    retries: u16,
    timeout_s: Option<u32>,
}

impl<'a> View<'a> {
    pub(super) fn of(spec: &'a WorkloadSpec) -> Self {
        let WorkloadSpec { image, pull, run, retries, timeout_s } = spec;
        Self { image: image.as_deref(), pull: *pull, run: RunView::of(run), retries: *retries, timeout_s: *timeout_s }
    }
}

impl FromFields for WorkloadSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let image = fields.optional("image");
        let pull: Option<Words<Pull>> = fields.optional("pull");
        let run = fields.optional("run").unwrap_or_default();
        let (retries, timeout_s) = (super::retries(fields), super::timeout(fields));
        Some(Self { image, pull: pull.map(|pull| pull.0), run, retries, timeout_s })
    }
}
