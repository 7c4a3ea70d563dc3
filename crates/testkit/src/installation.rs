//! A bootstrapped installation of its own for a test, on either engine, with an engine of jobs that runs 20 times as fast.

use std::sync::Arc;

use anyhow::Result;
use chandler_core::bootstrap::FirstStart;
use chandler_core::jobs::{Settings, Timing};
use chandler_core::secrets::Sealer;
use chandler_core::{Clock, Core, Cx, Parts, SystemClock};
use chandler_model::kinds::Dialect;
use chandler_model::organizations::Organization;
use chandler_store::seam::{DbConfig, Engine, Synchronous};
use chandler_store::{Db, migrate};

use crate::db::{self, Guard};

/// The administrator of every test installation.
pub const ADMIN: &str = "admin";
pub const PASSWORD: &str = "correct horse";
/// The master key of every test installation.
pub const MASTER_KEY: [u8; 32] = [7; 32];
/// By what the periods of the job engine are divided.
pub const FASTER: u32 = 20;

/// An installation. Its database is removed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    pub core: Core,
    pub config: DbConfig,
    clock: Arc<dyn Clock>,
    _guard: Guard,
}

impl Installation {
    /// A new one on that engine.
    ///
    /// # Errors
    /// Without the PostgreSQL of `./test.sh` there is no test on it.
    pub async fn new(engine: Engine) -> Result<Self> {
        Self::with(engine, settings()).await
    }

    /// A new one with its own settings of the job engine.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn with(engine: Engine, jobs: Settings) -> Result<Self> {
        Self::with_clock(engine, jobs, Arc::new(SystemClock)).await
    }

    /// A new one that lives by this clock.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn with_clock(engine: Engine, jobs: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let checksum = checksum();
        let (config, guard) = match engine {
            Engine::Sqlite => {
                let (path, guard) =
                    db::sqlite_database(&checksum, async |path| make(&DbConfig::sqlite(path)).await).await?;
                (DbConfig::sqlite(path), guard)
            }
            Engine::Postgres => {
                let (url, guard) =
                    db::postgres_database(&checksum, async |url| make(&DbConfig::postgres(url)).await).await?;
                (DbConfig::postgres(url), guard)
            }
        };
        let config = DbConfig { synchronous: Synchronous::Off, readers: 2, pool_size: 8, ..config };
        let core = core(Db::open(&config).await?, jobs, Arc::clone(&clock));
        core.db().load_constraints().await?;
        Ok(Self { core, config, clock, _guard: guard })
    }

    /// Another process on the same database, as far as the database can tell.
    ///
    /// # Errors
    /// The database cannot be opened again.
    pub async fn replica(&self) -> Result<Core> {
        let core = core(Db::open(&self.config).await?, self.core.job_settings().clone(), Arc::clone(&self.clock));
        core.db().load_constraints().await?;
        Ok(core)
    }

    /// A request of the administrator, now.
    ///
    /// # Errors
    /// The database is away.
    pub async fn admin(&self) -> Result<Cx> {
        Ok(Cx {
            actor: self.core.act_as(ADMIN).await?,
            dialect: Dialect::Native,
            request_id: "test".to_owned(),
            source: None,
            now: self.core.now(),
        })
    }

    /// The default organization.
    ///
    /// # Errors
    /// The database is away.
    pub async fn organization(&self) -> Result<Organization> {
        let found = chandler_store::organizations::default(self.core.db()).await?;
        found.ok_or_else(|| anyhow::anyhow!("the template has no default organization"))
    }
}

/// Runs a test on both engines, one after the other; a failure names the engine.
///
/// # Panics
/// If the test fails.
pub async fn on_both_engines(test: impl AsyncFn(Installation) -> Result<()>) {
    on_both_engines_with(settings(), test).await;
}

/// [`on_both_engines`] with its own settings of the job engine.
///
/// # Panics
/// If the test fails.
#[expect(clippy::panic, reason = "a failed test")]
pub async fn on_both_engines_with(jobs: Settings, test: impl AsyncFn(Installation) -> Result<()>) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let run = async { test(Installation::with(engine, jobs.clone()).await?).await };
        // On the heap: some tests are long.
        if let Err(error) = Box::pin(run).await {
            panic!("on {engine:?}: {error:?}");
        }
    }
}

/// The settings of a test installation.
#[must_use]
pub fn settings() -> Settings {
    Settings { timing: Timing::default().divided_by(FASTER), ..Settings::default() }
}

fn core(db: Db, jobs: Settings, clock: Arc<dyn Clock>) -> Core {
    Core::new(Parts { db, clock, sealer: Sealer::new(MASTER_KEY), jobs })
}

/// Migrates and bootstraps an empty database: the template that tests copy.
async fn make(config: &DbConfig) -> Result<()> {
    let db = Db::open(config).await?;
    let core = core(db, settings(), Arc::new(SystemClock));
    migrate::run(core.db(), core.now()).await?;
    anyhow::ensure!(core.master_key_fits().await?, "the first key of a database fits");
    let first = FirstStart {
        login: ADMIN.to_owned(),
        email: "admin@example.com".to_owned(),
        password: PASSWORD.into(),
        control_plane_image: None,
        default_image: None,
    };
    anyhow::ensure!(core.bootstrap(&first).await?, "an empty database is bootstrapped");
    Ok(())
}

/// What a template is made of: the migrations, and this file.
fn checksum() -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    migrate::MIGRATIONS.iter().for_each(|migration| migration.sql.hash(&mut hasher));
    include_str!("installation.rs").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
