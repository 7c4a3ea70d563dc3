//! One measurement from beginning to end: fill, start, take turns, report.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::sleep;

use crate::bare::Answer;
use crate::child::Server;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::jobs::{
    self,
    table::{self, Line},
};
use crate::load::{self, Sample, Target};
use crate::product::{self, ORGANIZATIONS, PAGE, POSTGRES, Product, SQLITE, Setup};
use crate::report::{self, Bar, Row, Value};
use crate::{Args, Part};

const IDLE_MEMORY_MIB: f64 = 60.0;
const FIRST_ANSWER_MS: f64 = 300.0;

/// How long and how often.
struct Pace {
    rounds: usize,
    seconds: u32,
    starts: usize,
    idle: Duration,
    jobs: jobs::Pace,
}

const THOROUGH: Pace = Pace { rounds: 5, seconds: 4, starts: 5, idle: Duration::from_secs(5), jobs: jobs::THOROUGH };
const QUICK: Pace = Pace { rounds: 1, seconds: 1, starts: 1, idle: Duration::from_secs(1), jobs: jobs::QUICK };

/// A kind of request: its name for people and in the answers of the bare server, and its bars per engine.
struct Kind {
    title: &'static str,
    name: &'static str,
    sqlite: Option<Bar>,
    postgres: Option<Bar>,
}

/// Writes come last: they fill the tables that the reads are measured on.
const KINDS: [Kind; 3] = [
    Kind {
        title: "one organization",
        name: "point",
        sqlite: Some(Bar { cpu: 7.0, rate: 0.25, p99: 10.0 }),
        postgres: Some(Bar { cpu: 10.0, rate: 0.12, p99: 10.0 }),
    },
    Kind {
        title: "page of 50 organizations",
        name: "page",
        sqlite: Some(Bar { cpu: 30.0, rate: 0.07, p99: 25.0 }),
        postgres: None,
    },
    Kind { title: "create an organization, durable", name: "create", sqlite: None, postgres: None },
];

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let pace = if args.quick { QUICK } else { THOROUGH };
    let load = fs::read_to_string("/proc/loadavg")?;
    let binary = match &args.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => product::build().await?,
    };
    let scratch = scratch(args.scratch.as_deref())?;
    let script = scratch.path().join("create.lua");
    fs::write(&script, include_str!("create.lua"))?;
    let cluster = match &args.postgres {
        Some(_) => None,
        None => Some(Cluster::start(&scratch.path().join("pg"))?),
    };
    let postgres = args.postgres.clone().or_else(|| cluster.as_ref().map(|cluster| cluster.url.clone()));

    let (mut values, mut products) = (Vec::new(), Vec::new());
    for (name, postgres) in [(SQLITE, &None), (POSTGRES, &postgres)] {
        eprintln!("{name}: filling and starting");
        let folder = scratch.path().join(name.to_lowercase());
        fs::create_dir(&folder)?;
        let password = format!("{:032x}", rand::random::<u128>());
        let setup = Setup { name, binary: binary.clone(), folder, postgres: postgres.clone(), password };
        let (product, mut seen) = start(&setup, &pace).await?;
        values.append(&mut seen);
        products.push(product);
    }

    let mut rows = Vec::new();
    if args.wants(Part::Requests) {
        let answers = record(&products[0]).await?;
        let (bare, address) = start_bare(scratch.path(), &answers).await?;
        for kind in &KINDS {
            rows.extend(measure(kind, &products, (&bare, address), &script, &pace).await?);
        }
        for product in &products {
            values.push(Value {
                what: format!("memory after the load, {}", product.name),
                unit: "MiB",
                samples: vec![product.server.memory()?],
                limit: None,
            });
        }
    }
    let lines = finish(products, postgres.as_deref(), args, &pace).await?;

    let (text, mut held) = report::render(&rows, &values);
    println!("{text}");
    if args.wants(Part::Jobs) {
        let (text, jobs_held) = table::render(&lines);
        held &= jobs_held;
        println!("{text}");
    }
    println!("Load of the machine before: {}", load.split(' ').next().unwrap_or_default());
    println!(
        "wrk -t1 -c32, {} round(s) of {} s in turns, medians; ratios are taken within a round. Bare: axum with the same bytes.",
        pace.rounds, pace.seconds
    );
    println!("{}", pace.jobs);
    Ok(if held || !args.bars { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is measured of jobs; ends the products. The queue comes last, because it is measured without them.
async fn finish(products: Vec<Product>, url: Option<&str>, args: &Args, pace: &Pace) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for product in products {
        if args.wants(Part::Jobs) {
            lines.extend(jobs::outside(&product, &pace.jobs).await?);
        }
        product.server.stop().await?;
    }
    if let Some(url) = url.filter(|_| args.wants(Part::Jobs)) {
        lines.extend(jobs::queue(url, &pace.jobs).await?);
    }
    Ok(lines)
}

/// Below the target folder, which is on a disk as real as the sources.
fn scratch(wanted: Option<&Path>) -> Result<tempfile::TempDir> {
    let home = match wanted {
        Some(home) => home.to_path_buf(),
        None => std::env::current_exe()?.with_file_name("bench"),
    };
    fs::create_dir_all(&home)?;
    let scratch = tempfile::Builder::new().prefix("run-").tempdir_in(home)?;
    // Root starts PostgreSQL under another account, which has to come through here.
    fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(scratch)
}

/// Fills the database, starts some times on it, and leaves the last one running.
async fn start(setup: &Setup, pace: &Pace) -> Result<(Product, Vec<Value>)> {
    let (authorization, point) = setup.fill().await?;
    let mut starts = Vec::new();
    for _ in 1..pace.starts {
        let product = setup.run(&authorization, &point).await?;
        starts.push(product.first_answer.as_secs_f64() * 1000.0);
        product.server.stop().await?;
    }
    let product = setup.run(&authorization, &point).await?;
    starts.push(product.first_answer.as_secs_f64() * 1000.0);
    let before = product.server.cpu()?;
    sleep(pace.idle).await;
    let at_rest = vec![(product.server.cpu()? - before) * 1000.0 / pace.idle.as_secs_f64()];
    let memory = vec![product.server.memory()?];
    let what = |what: &str| format!("{what}, {}", setup.name);
    let values = vec![
        Value { what: what("start to first answer"), unit: "ms", samples: starts, limit: Some(FIRST_ANSWER_MS) },
        Value { what: what("idle memory"), unit: "MiB", samples: memory, limit: Some(IDLE_MEMORY_MIB) },
        Value { what: what("CPU at rest"), unit: "ms/s", samples: at_rest, limit: None },
    ];
    Ok((product, values))
}

/// One answer of each kind, for the bare server to repeat.
async fn record(product: &Product) -> Result<BTreeMap<&'static str, Answer>> {
    let client = &product.client;
    let (created, _) = client.create(ORGANIZATIONS, &json!({"name": "recorded-0"})).await?;
    let (point, page) = (client.get(&product.point).await?, client.get(PAGE).await?);
    Ok(BTreeMap::from([("point", point), ("page", page), ("create", created)]))
}

async fn start_bare(scratch: &Path, answers: &BTreeMap<&str, Answer>) -> Result<(Server, std::net::SocketAddr)> {
    let path = scratch.join("answers.json");
    fs::write(&path, serde_json::to_vec(answers)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    let mut server = Server::start(command.arg("bare").arg(&path), &scratch.join("bare.log"), true)?;
    let line = BufReader::new(server.stdout()?).lines().next_line().await?;
    let line = line.with_context(|| server.last_words())?;
    Ok((server, line.parse()?))
}

/// All servers in turns, round after round.
async fn measure(
    kind: &Kind,
    products: &[Product],
    (bare, bare_address): (&Server, std::net::SocketAddr),
    script: &Path,
    pace: &Pace,
) -> Result<Vec<Row>> {
    let script: Option<PathBuf> = (kind.name == "create").then(|| script.to_path_buf());
    let target = |client: &Client, path: String, round: usize| Target {
        address: client.address,
        path,
        authorization: client.authorization.clone(),
        script: script.clone(),
        prefix: format!("round-{round}"),
    };
    let mut bare_samples: Vec<Sample> = Vec::new();
    let mut samples: Vec<Vec<Sample>> = products.iter().map(|_| Vec::new()).collect();
    // Round 0 warms caches and connections and is not counted.
    for round in 0..=pace.rounds {
        eprintln!("{}: round {round} of {}", kind.title, pace.rounds);
        let seconds = if round == 0 { 1 } else { pace.seconds };
        // It gets the token as well: the same bytes in both directions.
        let client = Client { address: bare_address, authorization: products[0].client.authorization.clone() };
        let sample = load::run(&target(&client, format!("/{}", kind.name), round), bare, seconds).await?;
        if round > 0 {
            bare_samples.push(sample);
        }
        for (product, samples) in products.iter().zip(&mut samples) {
            let path = match kind.name {
                "point" => product.point.clone(),
                "page" => PAGE.to_owned(),
                _ => ORGANIZATIONS.to_owned(),
            };
            let sample = load::run(&target(&product.client, path, round), &product.server, seconds).await?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let row = |server, samples, bar| Row { request: kind.title, server, samples, bare: bare_samples.clone(), bar };
    let mut rows = vec![row("bare axum", bare_samples.clone(), None)];
    for (product, samples) in products.iter().zip(samples) {
        let bar = if product.name == SQLITE { kind.sqlite } else { kind.postgres };
        rows.push(row(product.name, samples, bar));
    }
    Ok(rows)
}
