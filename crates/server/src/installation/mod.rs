//! An installation: its data directory, database and master key, opened in order and checked against each other.
//!
//! Everything that reads or changes an installation (serve, demo, migrate, admin) comes through here, so none of them
//! meets a directory that another process works in, a database of another version, or secrets of another key.

mod master_key;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;

use chandler_core::bootstrap::FirstStart;
use chandler_core::jobs::{Settings, Timing};
use chandler_core::secrets::Sealer;
use chandler_core::{Clock, Core, Parts, SystemClock};
use chandler_store::seam::DbConfig;
use chandler_store::{Db, migrate};
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, DatabaseUrl};
use crate::problem::{Advise, Problem};

/// Letters and digits of a password that is made: more than 140 bits.
const PASSWORD_LENGTH: usize = 24;

/// An open installation. Dropping it lets another process open it.
#[derive(Debug)]
pub struct Installation {
    pub core: Core,
    /// The password that was made for the administrator just now; to be printed once.
    pub new_password: Option<SecretString>,
    _lock: File,
}

/// Opens the data directory and the database, and brings the database up to this version.
///
/// # Errors
/// Another process works in the directory, the database cannot be reached, or a migration fails.
pub async fn open(config: &Config) -> anyhow::Result<Installation> {
    let lock = lock_data(config)?;
    let db = open_database(config).await?;
    migrate_database(&db).await?;
    let core = Core::new(Parts {
        db,
        clock: Arc::new(SystemClock),
        sealer: Sealer::new(master_key::load(config)?),
        jobs: Settings { timing: Timing { grace: config.worker.grace.0, ..Timing::default() }, ..Settings::default() },
    });
    let next = "give the key that this installation was made with (CHANDLER_MASTER_KEY_FILE or CHANDLER_MASTER_KEY)";
    if !core.master_key_fits().await.advise("the master key cannot be checked", "see the log")? {
        return Err(Problem::new("this is not the master key of this installation", next).into());
    }
    let new_password = bootstrap(&core, config).await?;
    Ok(Installation { core, new_password, _lock: lock })
}

/// Applies what is missing to the database and returns the names of it, for `chandler migrate`.
///
/// # Errors
/// As [`open`].
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<&'static str>> {
    let _lock = lock_data(config)?;
    migrate_database(&open_database(config).await?).await
}

/// Makes the data directory if there is none, for this user only, and takes it for this process.
fn lock_data(config: &Config) -> anyhow::Result<File> {
    let path = config.data.display();
    DirBuilder::new().recursive(true).mode(0o700).create(&config.data).advise(
        format!("the data directory {path} cannot be made"),
        "choose a directory that this user may write with `--data DIR`",
    )?;
    let name = config.data.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name).advise(
        format!("{} cannot be opened", name.display()),
        "choose a directory that this user may write with `--data DIR`",
    )?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Problem::new(
            format!("another chandler works in the data directory {path}"),
            "stop it first, or choose another directory with `--data DIR`",
        )
        .into()),
        Err(TryLockError::Error(error)) => {
            Err(error).advise(format!("{} cannot be locked", name.display()), "use a local file system")
        }
    }
}

async fn open_database(config: &Config) -> anyhow::Result<Db> {
    let url = config.database();
    let settings = match &url {
        DatabaseUrl::Sqlite(path) => DbConfig::sqlite(path),
        DatabaseUrl::Postgres(url) => DbConfig::postgres(url.expose()),
    };
    let next = match &url {
        DatabaseUrl::Sqlite(_) => "check that the file and its directory may be written by this user",
        DatabaseUrl::Postgres(_) => "check that the server runs, that the database exists, and the user's password",
    };
    Db::open(&settings).await.advise(format!("the database {url} cannot be opened"), next)
}

async fn migrate_database(db: &Db) -> anyhow::Result<Vec<&'static str>> {
    migrate::run(db, SystemClock.now())
        .await
        .advise("the database cannot be brought up to this version", "use a database of this version or an older one")
}

/// Makes the administrator and what else a new installation has. Returns a password that had to be made.
async fn bootstrap(core: &Core, config: &Config) -> anyhow::Result<Option<SecretString>> {
    let failed = "the first start did not succeed";
    let next = "see the log; it is tried again at the next start";
    if core.bootstrapped().await.advise(failed, next)? {
        return Ok(None);
    }
    let given = config.admin.password.as_ref().map(|password| SecretString::from(password.expose()));
    let made = given.is_none();
    let password = given.unwrap_or_else(random_password);
    let first = FirstStart {
        login: config.admin.login.clone(),
        email: config.admin.email.clone(),
        password: password.expose_secret().into(),
        control_plane_image: Some(config.environments.control_plane_image.clone()),
        default_image: config.environments.default_image.clone(),
    };
    let next = "give the administrator a password of at least 8 characters (CHANDLER_ADMIN_PASSWORD)";
    let ours = core.bootstrap(&first).await.advise(failed, next)?;
    Ok((ours && made).then_some(password))
}

/// A password that nobody guesses and everybody can type.
#[must_use]
pub fn random_password() -> SecretString {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH).into()
}
