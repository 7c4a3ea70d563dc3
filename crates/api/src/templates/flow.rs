//! The content of a flow.

use std::collections::BTreeMap;

use chandler_model::jobs::StepKind;
use chandler_model::templates::{FlowSpec, FlowStep, IacTool};
use serde::Serialize;
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::input::{Fields, FromFields, Words};

#[derive(Serialize)]
pub(super) struct View<'a> {
    configuration: &'a BTreeMap<String, String>,
    variables: &'a Map<String, Value>,
    steps: Vec<StepView<'a>>,
    save_plan: bool,
    tool: Option<IacTool>,
}

#[derive(Serialize)]
struct StepView<'a> {
    kind: StepKind,
    name: Option<&'a str>,
    approval: bool,
}

impl<'a> View<'a> {
    pub(super) fn of(spec: &'a FlowSpec) -> Self {
        let FlowSpec { configuration, variables, steps, save_plan, tool } = spec;
        let step = |FlowStep { kind, name, approval }: &'a FlowStep| StepView {
            kind: *kind,
            name: name.as_deref(),
            approval: *approval,
        };
        Self { configuration, variables, steps: steps.iter().map(step).collect(), save_plan: *save_plan, tool: *tool }
    }
}

/// What a step of a flow may do: fewer things than steps of jobs.
#[derive(Clone, Copy, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
enum Does {
    Plan,
    PlanDestroy,
    Apply,
    Destroy,
}

impl From<Does> for StepKind {
    fn from(does: Does) -> Self {
        match does {
            Does::Plan => Self::Plan,
            Does::PlanDestroy => Self::PlanDestroy,
            Does::Apply => Self::Apply,
            Does::Destroy => Self::Destroy,
        }
    }
}

impl FromFields for FlowSpec {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (configuration, variables) = (fields.required("configuration"), fields.given("variables"));
        let (steps, save_plan) = (fields.given("steps"), fields.given("save_plan"));
        let tool: Option<Words<IacTool>> = fields.optional("tool");
        Some(Self {
            configuration: configuration?,
            variables: variables.unwrap_or_default(),
            steps: steps.unwrap_or_default(),
            save_plan: save_plan.unwrap_or_default(),
            tool: tool.map(|tool| tool.0),
        })
    }
}

impl FromFields for FlowStep {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let kind: Option<Words<Does>> = fields.required("kind");
        let (name, approval) = (fields.optional("name"), fields.given("approval"));
        Some(Self { kind: kind?.0.into(), name, approval: approval.unwrap_or_default() })
    }
}
