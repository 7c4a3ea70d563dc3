//! Runs one job before the eyes of whoever started the demonstration.

use std::io::Write;
use std::time::Duration;

use chandler_core::jobs::{JobInput, LaunchSecrets, Mode, What};
use chandler_core::{Core, Cx};
use chandler_model::Id;
use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, State, WaitingFor};
use chandler_model::templates::Template;
use chandler_model::workspaces::Workspace;

use crate::serve::say;

/// Between two looks whether a job waits for an approval.
const LOOK: Duration = Duration::from_millis(100);

/// What is run.
pub(super) struct Piece {
    pub(super) template: Id<Template>,
    /// Instead of the template's.
    pub(super) environment: Option<Id<Environment>>,
    pub(super) workspace: Option<Id<Workspace>>,
}

/// Runs a template as a job and shows its log as it comes. Returns how it ended.
pub(super) async fn play(core: &Core, cx: &Cx, piece: Piece) -> anyhow::Result<State> {
    let Piece { template, environment, workspace } = piece;
    let what = What::Template(template);
    let launch = JobInput { name: None, what, environment, workspace, secrets: LaunchSecrets::default(), priority: 0 };
    let job = core.launch_job(cx, launch).await?;
    say(&format!("Job           {} (id {}), its log:\n\n", job.name, job.id));
    let ended = {
        let mut follow = std::pin::pin!(follow(core, cx, job.id));
        tokio::select! {
            ended = &mut follow => ended?,
            error = approve(core, cx, job.id) => return Err(error),
        }
    };
    say(&format!("\nJob {} {}\n", ended.id, told(&ended)));
    Ok(ended.state)
}

/// Copies the log to the terminal until the job has ended.
async fn follow(core: &Core, cx: &Cx, job: Id<Job>) -> anyhow::Result<Job> {
    let mut log = core.job_log(cx, Selector::Id(job), 0, Mode::Follow).await?;
    while let Some(chunks) = log.next().await? {
        let mut out = std::io::stdout().lock();
        for chunk in chunks {
            for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
                drop(out.write_all(b"  | ").and_then(|()| out.write_all(line)));
            }
        }
        drop(out.flush());
    }
    Ok(core.get_job(cx, Selector::Id(job)).await?)
}

/// Gives the approvals that the job waits for, and says so. Ends only by an error.
async fn approve(core: &Core, cx: &Cx, job: Id<Job>) -> anyhow::Error {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = approve_one(core, cx, job).await {
            return error;
        }
    }
}

async fn approve_one(core: &Core, cx: &Cx, job: Id<Job>) -> anyhow::Result<()> {
    let found = core.get_job(cx, Selector::Id(job)).await?;
    if found.state != State::Waiting(WaitingFor::Approval) {
        return Ok(());
    }
    let (steps, _) = core.job_steps(cx, Selector::Id(job)).await?;
    if let Some(step) = steps.iter().find(|step| step.lacks_decision()) {
        core.approve_job(cx, Selector::Id(job), step.number).await?;
        say(&format!(
            "\nStep          {} ({}) waited for an approval, and the demonstration gave it.\n\n",
            step.number, step.name
        ));
    }
    Ok(())
}

fn told(job: &Job) -> String {
    let took = match (job.started_at, job.finished_at) {
        (Some(from), Some(to)) => {
            format!(" after {} ms", (to - from).total(jiff::Unit::Millisecond).unwrap_or(0.0).round())
        }
        _ => String::new(),
    };
    let state = job.state.columns().state;
    match &job.error {
        Some(error) => format!("{state}{took}: {error}"),
        None => format!("{state}{took}."),
    }
}
