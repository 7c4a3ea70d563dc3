//! The standard texts of failures that the engine itself finds.

use chandler_model::jobs::JobKind;

use super::RETURNS_MAX;
use super::subject::Children;

pub(super) const NEEDED_FAILED: &str = "A job that this job needs did not succeed.";
pub(super) const NOT_IN_TIME: &str = "The job did not get there in time.";
pub(super) const NOT_STARTED: &str = "The job was not started in time.";
pub(super) const TOO_LONG: &str = "The job took longer than it may.";
pub(super) const DRAINED: &str = "The worker was shut down before the job had ended.";
pub(super) const NOT_KILLED: &str = "The job could not be killed.";
pub(super) const CANCEL_TIMED_OUT: &str = "Cancel timed out";
pub(super) const INITIATOR_GONE: &str = "Whoever started the job is suspended or gone.";

/// A failed job always says why, even if whoever reported it did not.
pub(super) fn reason(text: &str, diagnostic: Option<&str>) -> String {
    let text = match text.trim() {
        "" => "The job failed.",
        text => text,
    };
    match diagnostic.map(str::trim) {
        None | Some("") => text.to_owned(),
        Some(diagnostic) if text.ends_with(['.', '!', '?', ':']) => format!("{text} {diagnostic}"),
        Some(diagnostic) => format!("{text}: {diagnostic}"),
    }
}

pub(super) fn given_up() -> String {
    format!("Given up after {RETURNS_MAX} workers vanished before starting the job.")
}

/// Clients of provisioner jobs know these by their words.
pub(super) const fn lost(kind: JobKind) -> &'static str {
    if kind.is_provisioner() {
        "Coder: Build has been detected as hung for 5 minutes and has been terminated by the reaper."
    } else {
        "The worker that ran the job has not been heard of."
    }
}

pub(super) const fn not_claimed(kind: JobKind) -> &'static str {
    if kind.is_provisioner() {
        "Coder: Build has been detected as pending for 30 minutes and has been terminated by the reaper."
    } else {
        NOT_STARTED
    }
}

pub(super) fn children_failed(children: Children) -> String {
    format!("{} of {} jobs failed.", children.failed, children.all())
}
