//! The engine in a world where workers crash, hang and lose answers, and people ask for anything at any moment
//! (`docs/core/jobs.md` 9). The store is the real one and the clock stands still until the world moves it, so a seed
//! always leads the same life. A failure names its seed, with what happened last.
//!
//! `CHANDLER_SIM_SEEDS=100..200` runs those seeds instead of the usual few.

mod invariants;
mod people;
mod workers;
mod world;

use std::env;

use anyhow::{Context, Result, ensure};
use chandler_store::seam::Engine;

use world::World;

/// Lives that every run of the tests leads, on each engine.
const SEEDS: std::ops::Range<u64> = 0..5;

fn seeds() -> Result<std::ops::Range<u64>> {
    let Ok(text) = env::var("CHANDLER_SIM_SEEDS") else { return Ok(SEEDS) };
    let (first, end) = text.split_once("..").context("CHANDLER_SIM_SEEDS is a range, such as 100..200")?;
    Ok(first.parse()?..end.parse()?)
}

async fn simulate(engine: Engine) -> Result<()> {
    let mut jobs = 0;
    for seed in seeds()? {
        let life = World::live(engine, seed).await;
        jobs += life.with_context(|| format!("on {engine:?}, CHANDLER_SIM_SEEDS={seed}..{}", seed + 1))?;
    }
    ensure!(jobs > 0, "no job was ever launched");
    Ok(())
}

#[tokio::test]
async fn the_engine_survives_its_world_on_sqlite() -> Result<()> {
    simulate(Engine::Sqlite).await
}

#[tokio::test]
async fn the_engine_survives_its_world_on_postgresql() -> Result<()> {
    simulate(Engine::Postgres).await
}
