//! What an attempt is handed when it begins (`docs/core/jobs.md` 4.5 and 6).

use std::collections::BTreeMap;

use chandler_model::Uid;
use chandler_model::jobs::JobKind;
use chandler_store::jobs::{keys, rows, steps};
use chandler_store::states;
use serde::{Deserialize, Serialize};

use super::engine::{self, From};
use super::link::{self, Attempt, JobFile, Materials, Secrets};
use super::step::{Blame, Event, Exit};
use super::{hand_in, sealed_blobs};
use crate::Core;
use crate::credentials::{JobPlace, registry_login};
use crate::error::{Error, Result};
use crate::secrets::Seat;

/// Secrets that are given at a launch, sealed in the job's row until it ends.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchSecrets {
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Files in the job's directory: path → text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl LaunchSecrets {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.files.is_empty()
    }
}

impl std::fmt::Debug for LaunchSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchSecrets")
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("files", &self.files.keys().collect::<Vec<_>>())
            .finish()
    }
}

fn seat(job: Uid) -> Seat<'static> {
    Seat { table: "jobs", row: job, column: "sealed" }
}

/// Seals what a launch gave for the row of its job.
pub(super) fn seal(core: &Core, job: Uid, secrets: &LaunchSecrets) -> Result<Option<Vec<u8>>> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let clear = serde_json::to_vec(secrets).map_err(Error::internal)?;
    Ok(Some(core.sealer().seal(seat(job), &clear).map_err(Error::internal)?))
}

fn open(core: &Core, sealed: &rows::Sealed) -> Result<Secrets> {
    let Some(bytes) = &sealed.sealed else { return Ok(Secrets::default()) };
    let clear = core.sealer().open(seat(sealed.uid), bytes).map_err(Error::internal)?;
    // What serde says of a wrong text repeats some of it.
    let damaged = |_| Error::internal("the sealed secrets of a job are damaged");
    let LaunchSecrets { env, files } = serde_json::from_slice(&clear).map_err(damaged)?;
    Ok(Secrets { env, files: files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect() })
}

/// Everything for an attempt; none if it does not hold its job any more. A job that keeps others away from its
/// workspace starts from the state that is current now.
pub(super) async fn of(core: &Core, attempt: Attempt) -> Result<Option<Materials>> {
    let found = core
        .db()
        .write(async |tx| {
            let workspace = rows::workspace(tx, attempt.job).await?;
            if let Some(workspace) = workspace {
                hand_in::enter(tx, workspace).await?;
            }
            let Some(job) = link::held(tx, attempt).await? else { return Ok(None) };
            let mut state = None;
            if let Some(workspace) = workspace {
                let current = states::current(tx, workspace).await?;
                let key = super::keys::workspace_key(workspace);
                if keys::of_job(tx, job.id).await?.iter().any(|held| held.key == key) {
                    let turn = keys::draw_turn(tx).await?;
                    states::take_as_base(tx, job.id, current.as_ref().map(|current| current.id), turn).await?;
                }
                state = current.and_then(|current| current.blob_id);
            }
            let files = steps::files_of(tx, job.id).await?;
            let sealed = rows::sealed(tx, job.id).await?;
            let registry = match job.intent.image() {
                None => Ok(None),
                Some(image) => {
                    let place = JobPlace { organization: job.organization_id };
                    let container = job.kind == JobKind::Container;
                    registry_login(core, tx, job.environment_id, &image.reference, place, container).await?
                }
            };
            Ok::<_, Error>(Some((state, files, sealed, registry)))
        })
        .await?;
    let Some((state, files, sealed, registry)) = found else { return Ok(None) };
    let mut materials = Materials::default();
    match registry {
        Ok(login) => materials.registry = login,
        Err(reason) => {
            refuse(core, attempt, reason).await?;
            return Ok(None);
        }
    }
    if let Some(blob) = state {
        materials.state = Some(sealed_blobs::open(core, core.db(), blob).await?);
    }
    for file in files {
        let bytes = sealed_blobs::open(core, core.db(), file.blob_id).await?;
        materials.files.push(JobFile { step: file.step, name: file.name, bytes });
    }
    if let Some(sealed) = sealed {
        materials.secrets = open(core, &sealed)?;
    }
    Ok(Some(materials))
}

/// The job cannot be run as it was asked for; nothing of it has begun.
async fn refuse(core: &Core, attempt: Attempt, reason: String) -> Result<()> {
    let now = core.now();
    let event = Event::Error { blame: Blame::Platform, reason, exit: Exit::default() };
    core.db()
        .write(async |tx| {
            let from = From::Attempt(attempt.number);
            engine::transition(core, tx, attempt.job, from, event.clone(), now).await.map(drop)
        })
        .await
}
