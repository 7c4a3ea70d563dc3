//! Keys of jobs and the lanes in which they are handed out (`docs/core/jobs.md` 5).
//!
//! A job has a lane if it has keys. Whoever may change what is held in a lane takes its lock first, before turns and
//! ids are drawn, so that turns are in the order of commits and nothing that was given up is forgotten.

use chandler_model::Id;
use chandler_model::jobs::{Job, JobStep, KeyMode};
use chandler_model::templates::Template;
use chandler_model::workspaces::Workspace;
use chandler_store::Tx;
use chandler_store::jobs::keys::{self, Key};

use super::QUEUE_NOTICE;
use crate::error::Result;

/// The keys of a job and their lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    pub lane: String,
    pub keys: Vec<Key>,
}

/// Lane of all Ansible kinds.
const ANSIBLE_LANE: &str = "ansible";

/// Lane of hosts and invocations.
const HOSTS_LANE: &str = "hosts";

/// What keeps everybody away from a workspace.
pub(super) fn workspace_key(workspace: Id<Workspace>) -> String {
    format!("workspace:{workspace}")
}

/// Held while a step that changes things executes: plans wait for it.
pub(super) fn apply_key(workspace: Id<Workspace>) -> String {
    format!("apply:{workspace}")
}

/// Held by a person's lock, so that plans wait too.
fn lock_key(workspace: Id<Workspace>) -> String {
    format!("lock:{workspace}")
}

fn lane_of(workspace: Id<Workspace>) -> String {
    format!("w:{workspace}")
}

/// The lane of a key, told by its first word.
pub(super) fn lane_of_key(key: &str) -> Option<String> {
    let (word, rest) = key.split_once(':')?;
    match word {
        "workspace" | "apply" | "lock" => Some(format!("w:{rest}")),
        "template" | "sync" => Some(ANSIBLE_LANE.to_owned()),
        "host" | "invocation" => Some(HOSTS_LANE.to_owned()),
        _ => None,
    }
}

fn hold(key: String) -> Key {
    Key { key, mode: KeyMode::Hold }
}

fn wait(key: String) -> Key {
    Key { key, mode: KeyMode::Wait }
}

/// The keys of a job on a workspace: a flow that changes things holds it, one that only plans waits for those.
pub(super) fn of_flow(workspace: Id<Workspace>, steps: &[JobStep]) -> Keyring {
    let changes = steps.iter().any(|step| step.kind.holds_apply_key());
    let keys = if changes {
        vec![hold(workspace_key(workspace))]
    } else {
        vec![wait(apply_key(workspace)), wait(lock_key(workspace))]
    };
    Keyring { lane: lane_of(workspace), keys }
}

/// The keys of a playbook's job: one at a time of a template, unless it says otherwise.
pub(super) fn of_playbook(template: Option<Id<Template>>, simultaneous: bool) -> Option<Keyring> {
    let template = template.filter(|_| !simultaneous)?;
    Some(Keyring { lane: ANSIBLE_LANE.to_owned(), keys: vec![hold(format!("template:{template}:0"))] })
}

/// Takes the lock of a lane: a statement of its own, before turns and ids are drawn.
pub(super) async fn enter(tx: &mut Tx, lane: &str) -> Result<()> {
    Ok(tx.lock(&format!("queue:keys:{lane}")).await?)
}

/// A person locks a workspace: whoever has not begun waits.
pub(crate) async fn lock_workspace(tx: &mut Tx, workspace: Id<Workspace>) -> Result<()> {
    enter(tx, &lane_of(workspace)).await?;
    let held = [hold(workspace_key(workspace)), hold(lock_key(workspace))];
    keys::take(tx, NOBODY, &held, 0).await?;
    for Key { key, .. } in &held {
        keys::block(tx, key).await?;
    }
    Ok(())
}

/// The lock is taken off, and whoever waited goes on.
pub(crate) async fn unlock_workspace(tx: &mut Tx, workspace: Id<Workspace>) -> Result<()> {
    enter(tx, &lane_of(workspace)).await?;
    let mut woken = false;
    for key in [workspace_key(workspace), lock_key(workspace)] {
        woken |= keys::give_up_one(tx, NOBODY, &key).await?;
    }
    if woken {
        tx.notify(QUEUE_NOTICE, String::new())?;
    }
    Ok(())
}

/// Job 0: a lock of somebody is no job's.
const NOBODY: Id<Job> = Id::new(0);
