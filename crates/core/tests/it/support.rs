//! What tests of the job engine share: launches, workers, and waiting for what must happen.

use std::time::Duration;

use anyhow::{Context, Result};
use chandler_core::Core;
use chandler_core::jobs::link::{Assignment, Attempt, Embedded, Hello, Report, WorkerLink};
use chandler_core::jobs::{JobInput, LaunchSecrets, What};
use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, JobKinds};
use chandler_model::logs::{Entry, Level, NewChunk, Stream};
use chandler_model::tags::Tags;
use chandler_model::templates::{ScriptSpec, TemplateSpec};
use chandler_model::workers::Worker;
use chandler_testkit::installation::Installation;

/// Longest that a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn script() -> ScriptSpec {
    ScriptSpec { script: "true".to_owned(), args: Vec::new(), may_repeat: false, retries: 0, timeout_s: None }
}

pub(crate) async fn launch(on: &Installation, spec: ScriptSpec) -> Result<Job> {
    let input = input(on, TemplateSpec::Script(spec)).await?;
    Ok(on.core.launch_job(&on.admin().await?, input).await?)
}

/// A launch of content in the default organization.
pub(crate) async fn input(on: &Installation, spec: TemplateSpec) -> Result<JobInput> {
    Ok(JobInput {
        name: Some("job".to_owned()),
        what: What::Content { organization: on.organization().await?.id, spec },
        environment: None,
        workspace: None,
        secrets: LaunchSecrets::default(),
        priority: 0,
    })
}

/// A worker of all kinds without tags.
pub(crate) fn hello(name: &str) -> Hello {
    Hello { name: name.to_owned(), tags: Tags::default(), kinds: JobKinds::ALL, slots: 4, version: "1".to_owned() }
}

pub(crate) async fn worker(core: &Core, name: &str) -> Result<(Embedded, Worker)> {
    let link = Embedded::new(core.clone());
    let row = link.hello(&hello(name)).await?;
    Ok((link, row))
}

pub(crate) async fn claim_one(link: &Embedded, row: &Worker) -> Result<Assignment> {
    let claimed = link.claim(row, 1).await?;
    claimed.into_iter().next().context("there is a job to claim")
}

pub(crate) fn attempt(of: &Assignment) -> Attempt {
    Attempt { job: of.job, number: of.attempt }
}

pub(crate) async fn job(on: &Installation, id: Id<Job>) -> Result<Job> {
    Ok(on.core.get_job(&on.admin().await?, Selector::Id(id)).await?)
}

/// Waits until a job stands so; the reader of logs and the loops wake by themselves, so this only looks.
pub(crate) async fn until(on: &Installation, id: Id<Job>, stands: impl Fn(&Job) -> bool) -> Result<Job> {
    let looked = async {
        loop {
            let found = job(on, id).await?;
            if stands(&found) {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.context("the job does not get there")?
}

pub(crate) fn text(stream: Stream, text: &str, on: &Installation) -> Entry {
    let bytes = text.as_bytes().to_vec();
    Entry::Chunk(NewChunk { at: on.core.now(), step: None, stream, level: Level::Info, bytes })
}

/// The only step of a job without steps is done.
pub(crate) const DONE: Report = Report::Done { step: 1, outcome: None };
