//! What people ask of jobs that exist: to see them, and to cancel them.

use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, JobKind, JobStep, State, StopFor};
use chandler_model::kinds::{Action, Kind};
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::task_events::TaskEvent;
use chandler_model::templates::Template;
use chandler_model::workspaces::Workspace;
use chandler_store::jobs::attempts::{Attempt, Transition};
use chandler_store::jobs::rows::Standing;
use chandler_store::jobs::steps::File;
use chandler_store::jobs::{attempts, rows, steps};
use chandler_store::task_events;

use super::engine::{self, From, Moved};
use super::step::{Canceler, Event, Refused};
use super::{KIND, LogReader, Mode, sealed_blobs};
use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};

/// Which jobs a list shows.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub organization: Option<Id<Organization>>,
    pub template: Option<Id<Template>>,
    pub workspace: Option<Id<Workspace>>,
    pub kind: Option<JobKind>,
    /// Jobs that stand in one of these ways: what a word of the dialect means, as a table of that dialect.
    pub standing: Option<&'static [Standing]>,
}

impl Core {
    pub async fn get_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Jobs, newest first; without those that were deleted.
    pub async fn list_jobs(&self, cx: &Cx, filter: &JobFilter, page: PageRequest) -> Result<Page<Job>> {
        let JobFilter { organization, template, workspace, kind, standing } = *filter;
        let wanted = rows::Wanted { organization, template, workspace, kind, standing };
        let found = rows::page(self.db(), &authz::visible(cx, KIND), &wanted, page).await?;
        Ok(Page::of_one_more(found, page.limit, |job| job.id.get()))
    }

    /// The attempts and the history of a job, in order.
    pub async fn job_history(&self, cx: &Cx, selector: Selector<Job>) -> Result<(Vec<Attempt>, Vec<Transition>)> {
        let job: Authorized<Job> = authz::find(self, cx, Action::Read, selector).await?;
        Ok((attempts::of_job(self.db(), job.id).await?, attempts::transitions(self.db(), job.id).await?))
    }

    /// The log of a job from the chunk after `after`.
    pub async fn job_log(&self, cx: &Cx, selector: Selector<Job>, after: i64, mode: Mode) -> Result<LogReader> {
        let job: Authorized<Job> = authz::find(self, cx, Action::Read, selector).await?;
        Ok(LogReader::new(self, job.id, job.kind, after, mode))
    }

    /// The steps of a job, in order, with what each left. Empty for a job without steps.
    pub async fn job_steps(&self, cx: &Cx, selector: Selector<Job>) -> Result<(Vec<JobStep>, Vec<File>)> {
        let job: Authorized<Job> = authz::find(self, cx, Action::Read, selector).await?;
        Ok((steps::list(self.db(), job.id).await?, steps::files(self.db(), job.id).await?))
    }

    /// What a step left under this name. It may hold secrets of the workspace: `secret` on its states is needed.
    ///
    /// # Errors
    /// `Denied` with `Absent` if there is no such file.
    pub async fn job_file(&self, cx: &Cx, selector: Selector<Job>, step: i64, name: &str) -> Result<Vec<u8>> {
        let job: Authorized<Job> = authz::find(self, cx, Action::Read, selector).await?;
        authz::require(cx, Action::Secret, Kind::State)?;
        let files = steps::files(self.db(), job.id).await?;
        let file = files.into_iter().find(|file| file.step == step && file.name == name);
        let file = file.ok_or_else(|| Error::absent(KIND, Action::Read))?;
        sealed_blobs::open(self, self.db(), file.blob_id).await
    }

    /// The events of an Ansible job after a counter, in order.
    pub async fn job_events(&self, cx: &Cx, selector: Selector<Job>, after: i64, limit: u32) -> Result<Vec<TaskEvent>> {
        let job: Authorized<Job> = authz::find(self, cx, Action::Read, selector).await?;
        Ok(task_events::after(self.db(), job.id, after, i64::from(limit)).await?)
    }

    /// Lets the named step begin.
    ///
    /// # Errors
    /// `WrongState` unless the job waits for exactly this step.
    pub async fn approve_job(&self, cx: &Cx, selector: Selector<Job>, step: i64) -> Result<Job> {
        self.ask(cx, Action::Approve, selector, Event::Approve { step, by: cx.user_id() }).await
    }

    /// Ends the job at the named step.
    ///
    /// # Errors
    /// As for [`Self::approve_job`].
    pub async fn reject_job(&self, cx: &Cx, selector: Selector<Job>, step: i64) -> Result<Job> {
        self.ask(cx, Action::Approve, selector, Event::Reject { step, by: cx.user_id() }).await
    }

    /// Stops a job so that it can go on later.
    ///
    /// # Errors
    /// `WrongState` of a job that cannot be suspended, or has ended.
    pub async fn suspend_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        self.ask(cx, Action::Cancel, selector, Event::Suspend).await
    }

    /// Lets a suspended job go on.
    ///
    /// # Errors
    /// `WrongState` unless it is suspended.
    pub async fn resume_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        self.ask(cx, Action::Cancel, selector, Event::Resume).await
    }

    /// Asks for the end of a job. Asking again while it is being cancelled changes nothing and is no error.
    ///
    /// # Errors
    /// `WrongState` once it has ended.
    pub async fn cancel_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        self.ask(cx, Action::Cancel, selector, Event::Cancel { by: Canceler::Person, expect: None }).await
    }

    /// Removes an ended job with all that hangs on it. A container job's row stays, marked.
    ///
    /// # Errors
    /// `WrongState` of a job that has not ended; a container job is cancelled and deleted then.
    pub async fn delete_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<()> {
        let right: Authorized<Job> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let event = Event::Delete { by: Canceler::Person };
            let from = From::Anyone { actor: cx.actor_name() };
            match engine::transition(self, w.tx, right.id, from, event.clone(), cx.now).await? {
                // Its row stays, so it is counted on.
                Moved::To(job) | Moved::Same(job) if job.kind.is_kept_when_deleted() => {
                    w.asked(&right, &*job, event.word());
                    Ok(())
                }
                Moved::To(job) | Moved::Same(job) => {
                    w.deleted(&right, &*job);
                    Ok(())
                }
                Moved::Refused(_, job) => Err(wrong_state(&job)),
                Moved::Fenced => Err(Error::internal("a request was fenced")),
            }
        })
        .await
    }

    /// Brings somebody's request to a job.
    async fn ask(&self, cx: &Cx, action: Action, selector: Selector<Job>, event: Event) -> Result<Job> {
        let right: Authorized<Job> = authz::find(self, cx, action, selector).await?;
        let again = match event {
            Event::Cancel { .. } => matches!(right.state, State::Stopping { why: StopFor::Cancel, .. }),
            _ => false,
        };
        if again {
            return Ok(right.into_inner());
        }
        self.write(cx, async |w| {
            let from = From::Anyone { actor: cx.actor_name() };
            match engine::transition(self, w.tx, right.id, from, event.clone(), cx.now).await? {
                Moved::To(job) | Moved::Same(job) => {
                    w.asked(&right, &*job, event.word());
                    Ok(*job)
                }
                // Somebody else's request came first; ours is told like theirs.
                Moved::Refused(Refused::AlreadyStopping(_), job) if matches!(event, Event::Cancel { .. }) => {
                    w.asked(&right, &*job, event.word());
                    Ok(*job)
                }
                Moved::Refused(_, job) => Err(wrong_state(&job)),
                Moved::Fenced => Err(Error::internal("a request was fenced")),
            }
        })
        .await
    }
}

fn wrong_state(job: &Job) -> Error {
    ErrorKind::WrongState { resource: super::kind_of(job.family), state: job.state.columns().state }.into()
}
