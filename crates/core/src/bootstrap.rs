//! First start: what every installation has before the first request (`docs/core/model.md` 3).

use chandler_model::kinds::{Kind, Place};
use chandler_model::organizations::DEFAULT_CLUSTER;
use chandler_model::run_spec::RunSpec;
use chandler_model::{Json, RawJson};
use chandler_store::environments::{self, NewEnvironment};
use chandler_store::users::NewUser;
use chandler_store::{clusters, grants, settings, users};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::Core;
use crate::authz::{self, SYSTEM_ADMIN, SYSTEM_SCOPE};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::organizations::{Title, insert_with_slug};
use crate::secrets::Seat;

/// Name of the environment that the installation makes for its own work.
pub const CONTROL_PLANE: &str = "Control Plane Execution Environment";
/// Name of the environment that the configuration asks for at the first start.
pub const DEFAULT_ENVIRONMENT: &str = "Default Execution Environment";
/// Title of the organization that every installation has.
pub const DEFAULT_ORGANIZATION: &str = "Default";
const DEFAULT_DESCRIPTION: &str = "Builtin default organization.";
/// What is sealed to recognise the master key.
const KEY_CHECK: &[u8] = b"chandler master key";

/// What the configuration says of the first start.
#[derive(Debug)]
pub struct FirstStart {
    pub login: String,
    pub email: String,
    pub password: SecretString,
    /// Image of the managed environment.
    pub control_plane_image: Option<String>,
    /// Image of a second global environment, for jobs; none = there is no such environment.
    pub default_image: Option<String>,
}

impl Core {
    /// Makes what an installation needs, once. Returns whether this call did; on a later start it changes nothing, and
    /// of two replicas that start together one does it.
    ///
    /// # Errors
    /// `Invalid` for a password that is too short.
    pub async fn bootstrap(&self, first: &FirstStart) -> Result<bool> {
        let cx = Cx::system(self.now());
        let password = first.password.expose_secret();
        crate::users::check_password(password)?;
        if self.bootstrapped().await? {
            return Ok(false);
        }
        let hash = self.passwords().hash(password).await?;
        let permits = (
            authz::create_in(&cx, Kind::User, Place::Global)?,
            authz::create_in(&cx, Kind::Organization, Place::Global)?,
            authz::create_in(&cx, Kind::Environment, Place::Global)?,
        );
        let made = self
            .write(&cx, async |w| {
                w.tx.lock("bootstrap").await?;
                if users::count(w.tx).await? > 0 {
                    return Err(Error::internal(AlreadyBootstrapped));
                }
                let handle = chandler_model::names::derive_slug(&first.login);
                let new = NewUser {
                    uid: self.uid(),
                    at: cx.now,
                    login: &first.login,
                    handle: &handle,
                    email: &first.email,
                    password_hash: &hash,
                    is_admin: true,
                };
                let admin = users::insert(w.tx, &new).await?;
                let subject = authz::subject(admin.id);
                grants::insert(w.tx, self.uid(), cx.now, &subject, SYSTEM_ADMIN, SYSTEM_SCOPE).await?;
                w.created(&permits.0, &admin)?;

                let cluster = clusters::insert(w.tx, self.uid(), cx.now, DEFAULT_CLUSTER).await?;
                let title = Title {
                    name: DEFAULT_ORGANIZATION,
                    display_name: Some("Coder"),
                    description: Some(DEFAULT_DESCRIPTION),
                };
                let organization = insert_with_slug(w.tx, self, &cx, &title, cluster.id, true).await?;
                w.created(&permits.1, &organization)?;

                crate::credentials::make_built_in(self, w.tx, &cx).await?;
                let first_environments = [
                    (CONTROL_PLANE, &first.control_plane_image, true),
                    (DEFAULT_ENVIRONMENT, &first.default_image, false),
                ];
                for (name, image, managed) in first_environments {
                    if !managed && image.is_none() {
                        continue;
                    }
                    let new = NewEnvironment {
                        by: None,
                        place: Place::Global,
                        name,
                        description: None,
                        image: image.as_deref(),
                        pull: None,
                        credential_id: None,
                        managed,
                        spec: &Json(RunSpec::default()),
                    };
                    let environment = environments::insert(w.tx, self.uid(), cx.now, &new).await?;
                    w.created(&permits.2, &environment)?;
                }
                Ok(())
            })
            .await;
        match made {
            Ok(()) => Ok(true),
            // Another replica was faster.
            Err(error) if error.cause.as_ref().is_some_and(|cause| cause.is::<AlreadyBootstrapped>()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the first start has happened.
    pub async fn bootstrapped(&self) -> Result<bool> {
        Ok(chandler_store::organizations::default(self.db()).await?.is_some())
    }

    /// Whether this master key is the one that the installation's secrets were sealed with. The first call on a new
    /// database notes the key (sealed by itself), so that a wrong one is refused before it does harm.
    pub async fn master_key_fits(&self) -> Result<bool> {
        let name = "master_key_check";
        let seat = Seat { table: "settings", row: chandler_model::Uid(uuid::Uuid::nil()), column: name };
        let sealed = self.sealer().seal(seat, KEY_CHECK).map_err(Error::internal)?;
        let value = RawJson(json!(sealed).to_string());
        let (uid, now) = (self.uid(), self.now());
        self.db().write(async |tx| settings::init(tx, uid, now, "core", name, &value).await).await?;
        let stored = settings::get(self.db(), "core", name).await?;
        let stored: Vec<u8> = stored
            .and_then(|json| serde_json::from_str(&json.0).ok())
            .ok_or_else(|| Error::internal("setting core.master_key_check is damaged"))?;
        Ok(self.sealer().open(seat, &stored).is_ok_and(|clear| *clear == KEY_CHECK))
    }
}

/// Ends a bootstrap transaction that came second.
#[derive(Debug, thiserror::Error)]
#[error("already bootstrapped")]
struct AlreadyBootstrapped;
