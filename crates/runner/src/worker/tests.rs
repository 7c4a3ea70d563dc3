//! What becomes of kept files on their way to the engine.

use std::sync::{Arc, Mutex};

use chandler_core::SystemClock;
use chandler_core::error::{Error, Kind, Result};
use chandler_core::jobs::Timing;
use chandler_core::jobs::link::{self, Assignment, Hello, Materials, Order, Report, Wake, Wakes, WorkerLink};
use chandler_model::Id;
use chandler_model::logs::Entry;
use chandler_model::workers::Worker;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hiding::Hiding;
use super::reading::Reading;
use super::stopping::Stopping;
use super::tend::{End, Tended};
use super::voice::Voice;
use crate::executor::{Event, Running};
use crate::keep::{Boottime, Signal};
use crate::tools::{Exit, Reader, Target, Verdict};

/// An engine that gives one answer to everything and notes what it was told.
#[derive(Clone)]
struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
    /// None: it does not answer.
    answer: Arc<Mutex<Option<Order>>>,
}

struct Never;

impl Wakes for Never {
    async fn next(&mut self) -> Wake {
        std::future::pending().await
    }
}

impl Ear {
    fn new(answer: Option<Order>) -> Self {
        Self { heard: Arc::default(), answer: Arc::new(Mutex::new(answer)) }
    }

    fn hear(&self, word: String) -> Result<Order> {
        self.heard.lock().unwrap().push(word);
        self.answer.lock().unwrap().ok_or_else(|| Error::from(Kind::Internal))
    }
}

impl WorkerLink for Ear {
    fn timing(&self) -> Timing {
        Timing::default()
    }
    async fn hello(&self, _: &Hello) -> Result<Worker> {
        Err(Kind::Internal.into())
    }
    async fn claim(&self, _: &Worker, _: i64) -> Result<Vec<Assignment>> {
        Ok(Vec::new())
    }
    async fn beat(&self, _: link::Attempt, beat: i64) -> Result<Order> {
        self.hear(format!("beat {beat}"))
    }
    async fn materials(&self, _: link::Attempt) -> Result<Option<Materials>> {
        Ok(None)
    }
    async fn log(&self, _: link::Attempt, beat: i64, entries: &[Entry]) -> Result<Order> {
        self.hear(format!("log {beat} of {}", entries.len()))
    }
    async fn state(&self, _: link::Attempt, beat: i64, state: &[u8]) -> Result<Order> {
        self.hear(format!("state {beat} {}", String::from_utf8_lossy(state)))
    }
    async fn file(&self, _: link::Attempt, step: i64, name: &str, bytes: &[u8]) -> Result<Order> {
        self.hear(format!("file {step} {name} {}", String::from_utf8_lossy(bytes)))
    }
    async fn report(&self, _: link::Attempt, report: Report) -> Result<Order> {
        self.hear(format!("{report:?}"))
    }
    fn wakes(&self) -> impl Wakes {
        Never
    }
}

fn voice(ear: &Ear) -> Voice<Ear> {
    let name = link::Attempt { job: Id::new(1), number: 1 };
    Voice::new(ear.clone(), name, Arc::new(SystemClock), CancellationToken::new(), Boottime::now())
}

#[derive(Debug)]
struct Silent;

impl Reader for Silent {
    fn read(&mut self, _: jiff::Timestamp, _: chandler_model::logs::Stream, _: &[u8]) -> Vec<Entry> {
        Vec::new()
    }
    fn end(&mut self, _: jiff::Timestamp) -> Vec<Entry> {
        Vec::new()
    }
    fn verdict(&mut self, _: Exit) -> Verdict {
        Verdict::Done(None)
    }
}

/// Tends work that tells these events, and hands everything in.
async fn tend(ear: &Ear, events: Vec<Event>) -> (End, Vec<String>) {
    let nothing = || Box::new(tokio::io::empty());
    let running = Running::spawn(nothing(), nothing(), move |tell, mut orders| async move {
        events.into_iter().for_each(|event| tell.event(event));
        orders.ended().await;
    });
    let Running { stdout, stderr, mut events, control } = running;
    let mut voice = voice(ear);
    let mut reading = Reading::new(Box::new(Silent), &Hiding::default(), Some(3));
    let targets = [("state".to_owned(), Target::State), ("plan".to_owned(), Target::File("plan".to_owned()))];
    let stopping = Stopping::new(Signal::Term, voice.timing.grace);
    let (bell, drain) = (Notify::new(), CancellationToken::new());
    let (around, works) = ((&bell, &drain), (&control, &mut events));
    let tended = Tended::new(&mut voice, around, works, &mut reading, stopping, Some(3), &targets);
    let (end, _) = tended.run(stdout, stderr, Arc::new(SystemClock)).await;
    assert!(voice.flush().await);
    control.finished().await;
    (end, ear.heard.lock().unwrap().clone())
}

fn file(path: &str, text: &str) -> Event {
    Event::File { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn exited() -> Event {
    Event::Exited { code: Some(0), signal: None }
}

#[tokio::test]
async fn files_go_where_they_belong_and_no_state_that_is_half_written() {
    let ear = Ear::new(Some(Order::Continue));
    let whole = r#"{"serial": 1}"#;
    let events = vec![
        file("state", whole),
        file("state", r#"{"ser"#),
        exited(),
        file("plan", "p"),
        file("other", "x"),
        Event::Gone,
    ];
    let (end, heard) = tend(&ear, events).await;
    assert!(matches!(end, End::Exited(_)));
    let files: Vec<&String> = heard.iter().filter(|word| !word.starts_with("beat")).collect();
    assert_eq!(files, [&format!("state 1 {whole}"), "file 3 plan p"]);
}

#[tokio::test]
async fn of_an_attempt_that_is_over_only_the_state_is_handed_in() {
    let ear = Ear::new(Some(Order::Gone));
    let first = Event::Said("a line".to_owned());
    let events =
        vec![first, exited(), file("plan", "p"), Event::Said("more".to_owned()), file("state", "{}"), Event::Gone];
    let (_, heard) = tend(&ear, events).await;
    let said: Vec<&String> = heard.iter().filter(|word| !word.starts_with("beat")).collect();
    assert_eq!(said.len(), 2, "{heard:?}");
    assert!(said[0].starts_with("log ") && said[1].starts_with("state ") && said[1].ends_with("{}"), "{heard:?}");
}

#[tokio::test]
async fn what_was_not_answered_keeps_its_number_and_a_newer_file_does_not_take_it() {
    let ear = Ear::new(None);
    let mut voice = voice(&ear);
    assert!(!voice.say().await, "a beat");
    voice.file(1, &Target::State, b"1".to_vec());
    assert!(!voice.say().await);
    for newer in ["2", "3"] {
        voice.file(1, &Target::State, newer.as_bytes().to_vec());
    }
    *ear.answer.lock().unwrap() = Some(Order::Continue);
    assert!(voice.flush().await);
    assert!(!voice.is_behind());
    assert_eq!(*ear.heard.lock().unwrap(), ["beat 1", "state 2 1", "state 2 1", "state 3 3"]);
}
