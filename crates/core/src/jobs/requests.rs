//! What people ask of jobs that exist: to see them, and to cancel them.

use chandler_model::Id;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, StopFor};
use chandler_model::kinds::Action;
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::templates::Template;
use chandler_store::jobs::attempts::{Attempt, Transition};
use chandler_store::jobs::rows::Standing;
use chandler_store::jobs::{attempts, rows};

use super::engine::{self, From, Moved};
use super::step::{Canceler, Event, Refused};
use super::{KIND, LogReader, Mode};
use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};

/// Which jobs a list shows.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub organization: Option<Id<Organization>>,
    pub template: Option<Id<Template>>,
    /// Jobs that stand in one of these ways: what a word of the dialect means, as a table of that dialect.
    pub standing: Option<&'static [Standing]>,
}

impl Core {
    pub async fn get_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Jobs, newest first.
    pub async fn list_jobs(&self, cx: &Cx, filter: &JobFilter, page: PageRequest) -> Result<Page<Job>> {
        let JobFilter { organization, template, standing } = *filter;
        let wanted = rows::Wanted { organization, template, standing };
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
        Ok(LogReader::new(self, job.id, after, mode))
    }

    /// Asks for the end of a job. Asking again while it is being cancelled changes nothing and is no error.
    ///
    /// # Errors
    /// `WrongState` once it has ended.
    pub async fn cancel_job(&self, cx: &Cx, selector: Selector<Job>) -> Result<Job> {
        let right: Authorized<Job> = authz::find(self, cx, Action::Cancel, selector).await?;
        if matches!(right.state, chandler_model::jobs::State::Stopping { why: StopFor::Cancel, .. }) {
            return Ok(right.into_inner());
        }
        self.write(cx, async |w| {
            let from = From::Anyone { actor: cx.actor_name() };
            let event = Event::Cancel { by: Canceler::Person, expect: None };
            let moved = engine::transition(self, w.tx, right.id, from, event, cx.now).await?;
            match moved {
                Moved::To(job) | Moved::Same(job) => {
                    w.cancelled(&right, &*job);
                    Ok(*job)
                }
                Moved::Refused(Refused::AlreadyStopping(_), job) => {
                    // Somebody else's request came first; ours is told like theirs.
                    w.cancelled(&right, &*job);
                    Ok(*job)
                }
                Moved::Refused(_, job) => {
                    Err(ErrorKind::WrongState { resource: KIND, state: job.state.columns().state }.into())
                }
                Moved::Fenced => Err(Error::internal("a request was fenced")),
            }
        })
        .await
    }
}
