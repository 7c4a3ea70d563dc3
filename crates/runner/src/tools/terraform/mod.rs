//! Terraform (or OpenTofu) in steps: a directory with the configuration, the workspace's state and the plan of an
//! earlier step, and a driver that makes `init` and one command of it. Where states and plans are kept is not known here.

mod complaint;
mod files;
mod lines;
mod message;
mod reader;

use chandler_core::jobs::link::Materials;
use chandler_model::jobs::{Fault, JobStep, StepKind, TerraformIntent};
use chandler_model::templates::IacTool;
use chandler_model::workspaces::STATE_MAX;

use self::files::{BACKEND, DRIVER, Files, LOCK_FILE, PLAN, PLAN_JSON, STATE, VARIABLES};
use self::reader::TerraformReader;
use super::{Prepared, Target, Unpreparable};
use crate::keep::Signal;
use crate::recipe::{File, Kept, Program, Recipe, Tool};

/// Names of files that a plan step leaves for later steps.
pub const PLAN_FILE: &str = "plan";
pub const PLAN_JSON_FILE: &str = "plan_json";
pub const LOCK_FILE_FILE: &str = "lock_file";

/// Longest plan, binary or JSON, in bytes.
const PLAN_MAX: usize = STATE_MAX;
/// Longest lock file, in bytes.
const LOCK_FILE_MAX: usize = 1024 * 1024;

/// Whatever backend the configuration names: the state is a file in the job's directory.
const LOCAL_BACKEND: &str = r#"{"terraform":{"backend":{"local":{"path":"terraform.tfstate"}}}}"#;

pub(super) fn prepare(
    intent: &TerraformIntent,
    step: &JobStep,
    materials: &Materials,
) -> Result<Prepared, Unpreparable> {
    let spec = &intent.spec;
    let kind: &str = match step.kind {
        StepKind::Plan | StepKind::PlanDestroy | StepKind::Apply | StepKind::Destroy => step.kind.into(),
        other => {
            let text =
                format!("The step `{}` is of kind {}, which Terraform cannot run.", step.name, <&str>::from(other));
            return Err((Fault::Platform, text));
        }
    };
    let names = tools(spec.tool);
    let mut command: Vec<String> = ["/bin/sh", DRIVER, kind, &PLAN_MAX.to_string()].map(str::to_owned).into();
    command.extend(names.iter().cloned());
    let kept = keep(step.kind);
    let recipe = Recipe {
        files: files(intent, step, materials)?,
        command,
        env: materials.secrets.env.clone().into_iter().collect(),
        tools: vec![Tool { hint: hint(spec.tool), names }],
        keep: kept.iter().map(|(kept, _)| kept.clone()).collect(),
        stop: Some(Signal::Int),
    };
    Ok(Prepared {
        program: Program::Recipe(recipe),
        reader: Box::new(TerraformReader::new(step.kind)),
        targets: kept.into_iter().map(|(kept, target)| (kept.path, target)).collect(),
    })
}

fn files(intent: &TerraformIntent, step: &JobStep, materials: &Materials) -> Result<Vec<File>, Unpreparable> {
    let spec = &intent.spec;
    let mut files = Files::default();
    files.configuration(spec.configuration.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
    for (path, bytes) in &materials.secrets.files {
        files.add(path, bytes.clone())?;
    }
    files.own(File::new(BACKEND, LOCAL_BACKEND));
    files.own(File::program(DRIVER, include_str!("run.sh")));
    if !spec.variables.is_empty() {
        let text = serde_json::to_vec(&spec.variables)
            .map_err(|error| (Fault::Platform, format!("The values of variables cannot be written: {error}.")))?;
        files.own(File::new(VARIABLES, text));
    }
    if let Some(state) = &materials.state {
        files.own(File::new(STATE, state.clone()));
    }
    if let Some(lock_file) = left(materials, step, LOCK_FILE_FILE) {
        files.own(File::new(LOCK_FILE, lock_file));
    }
    if step.kind == StepKind::Apply {
        match left(materials, step, PLAN_FILE) {
            Some(plan) => files.own(File::new(PLAN, plan)),
            // Something else than what was planned, and perhaps approved, must not be applied.
            None if left(materials, step, PLAN_JSON_FILE).is_some() => {
                let text = "The plan of an earlier step is not there any more: start a new job, which plans anew.";
                return Err((Fault::Platform, text.to_owned()));
            }
            None => {}
        }
    }
    files.finish()
}

/// What the latest earlier step left under this name.
fn left<'a>(materials: &'a Materials, step: &JobStep, name: &str) -> Option<&'a [u8]> {
    let earlier = materials.files.iter().filter(|file| file.name == name && file.step < step.number);
    earlier.max_by_key(|file| file.step).map(|file| file.bytes.as_slice())
}

/// What is kept of a step, and what becomes of it.
fn keep(kind: StepKind) -> Vec<(Kept, Target)> {
    let kept = |path: &str, max, live, target| (Kept { path: path.to_owned(), max, live }, target);
    let file = |path: &str, max, name: &str| kept(path, max, false, Target::File(name.to_owned()));
    if kind.is_plan() {
        vec![
            file(PLAN, PLAN_MAX, PLAN_FILE),
            file(PLAN_JSON, PLAN_MAX, PLAN_JSON_FILE),
            file(LOCK_FILE, LOCK_FILE_MAX, LOCK_FILE_FILE),
        ]
    } else {
        vec![kept(STATE, STATE_MAX, true, Target::State)]
    }
}

/// Names of the programs that may do it, the preferred one first.
fn tools(tool: Option<IacTool>) -> Vec<String> {
    let names: &[&str] = match tool {
        Some(IacTool::Terraform) => &["terraform"],
        Some(IacTool::Tofu) => &["tofu"],
        None => &["terraform", "tofu"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn hint(tool: Option<IacTool>) -> String {
    match tool {
        Some(IacTool::Tofu) => "Install OpenTofu: https://opentofu.org/docs/intro/install".to_owned(),
        _ => "Install Terraform: https://developer.hashicorp.com/terraform/install".to_owned(),
    }
}

#[cfg(test)]
mod tests;
