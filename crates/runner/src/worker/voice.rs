//! Everything that an attempt says to the engine, one after the other: so beats only grow, and what was stored without
//! an answer is not stored twice when it is sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chandler_core::Clock;
use chandler_core::jobs::Timing;
use chandler_core::jobs::link::{self, Materials, Order, Report, WorkerLink};
use chandler_model::logs::{CHUNK_MAX, Entry, Level, NewChunk, Stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RETRY;
use super::hiding::Hiding;
use crate::keep::Boottime;
use crate::tools::Target;

/// The engine's ear for one attempt.
pub(super) struct Voice<L> {
    pub(super) link: L,
    pub(super) name: link::Attempt,
    pub(super) timing: Timing,
    pub(super) hiding: Hiding,
    clock: Arc<dyn Clock>,
    drain: CancellationToken,
    beat: i64,
    /// The latest order.
    pub(super) order: Order,
    /// When the latest word that was answered was sent: what keeps the lease.
    pub(super) heard_at: Boottime,
    words: VecDeque<Word>,
}

/// Something to hand in.
enum Word {
    Log(Vec<Entry>),
    State(Vec<u8>),
    File { step: i64, name: String, bytes: Vec<u8> },
}

impl<L: WorkerLink> Voice<L> {
    pub(super) fn new(
        link: L,
        name: link::Attempt,
        clock: Arc<dyn Clock>,
        drain: CancellationToken,
        heard_at: Boottime,
    ) -> Self {
        let (timing, hiding, order) = (link.timing(), Hiding::default(), Order::Continue);
        Self { link, name, timing, hiding, clock, drain, beat: 0, order, heard_at, words: VecDeque::new() }
    }

    /// Lines of output, to be handed in. Whoever makes them has hidden the secrets.
    pub(super) fn log(&mut self, entries: Vec<Entry>) {
        let entries: Vec<Entry> = entries.into_iter().flat_map(cut).collect();
        if !entries.is_empty() {
            self.push(Word::Log(entries));
        }
    }

    /// What is not wanted any more of an attempt that is over is not sent; a state always is.
    fn push(&mut self, word: Word) {
        if self.order != Order::Gone || matches!(word, Word::State(_)) {
            self.words.push_back(word);
        }
    }

    /// A line of the log that Chandler writes, to be handed in.
    pub(super) fn line(&mut self, step: Option<i64>, text: &str) {
        let bytes = format!("{}\n", self.hiding.text(text)).into_bytes();
        let line = NewChunk { at: self.clock.now(), step, stream: Stream::System, level: Level::Info, bytes };
        self.push(Word::Log(vec![Entry::Chunk(line)]));
    }

    /// A kept file, to be handed in. An older one of the same place that waits is forgotten; not the one in front,
    /// which may have been stored already under the number that would be this one's.
    pub(super) fn file(&mut self, step: i64, target: &Target, bytes: Vec<u8>) {
        let older = |word: &Word| match (word, target) {
            (Word::State(_), Target::State) => true,
            (Word::File { step: of, name, .. }, Target::File(wanted)) => *of == step && name == wanted,
            _ => false,
        };
        let mut position = 0;
        self.words.retain(|word| {
            position += 1;
            position == 1 || !older(word)
        });
        self.push(match target {
            Target::State => Word::State(bytes),
            Target::File(name) => Word::File { step, name: name.clone(), bytes },
        });
    }

    /// Whether something waits to be handed in.
    pub(super) fn is_behind(&self) -> bool {
        !self.words.is_empty()
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Until the next try, or the next beat.
    pub(super) fn pause(&self, answered: bool) -> Duration {
        match answered {
            true if self.is_behind() => Duration::ZERO,
            true => self.timing.beat / 2,
            false => RETRY.min(self.timing.beat / 2),
        }
    }

    /// Hands in what waits longest, or sends a beat. Whether it was answered.
    pub(super) async fn say(&mut self) -> bool {
        let (beat, sent_at) = (self.beat + 1, Boottime::now());
        let said = match self.words.front() {
            Some(Word::Log(entries)) => self.link.log(self.name, beat, entries).await,
            Some(Word::State(state)) => self.link.state(self.name, beat, state).await,
            Some(Word::File { step, name, bytes }) => self.link.file(self.name, *step, name, bytes).await,
            None => self.link.beat(self.name, beat).await,
        };
        match said {
            Ok(order) => {
                self.beat = beat;
                self.heard_at = sent_at;
                self.words.pop_front();
                self.obey(order);
                true
            }
            // Sent again under the same number, so it is not stored twice. The number of a mere beat may have been
            // heard, so nothing that is to be stored gets it.
            Err(error) => {
                if self.words.is_empty() {
                    self.beat = beat;
                }
                tracing::warn!(job = %self.name.job, %error, "the worker cannot reach the engine");
                false
            }
        }
    }

    /// Notes an order.
    fn obey(&mut self, order: Order) {
        self.order = order;
        if order == Order::Gone {
            self.words.retain(|word| matches!(word, Word::State(_)));
        }
    }

    /// Hands in everything that waits, however long it takes. False if the worker is being shut down and nobody has
    /// listened for the time in which a job is lost: then it is still here.
    pub(super) async fn flush(&mut self) -> bool {
        let mut silent_since = Instant::now();
        while self.is_behind() {
            if self.say().await {
                silent_since = Instant::now();
            } else if self.drain.is_cancelled() && silent_since.elapsed() >= self.timing.lost {
                return false;
            } else {
                tokio::time::sleep(self.pause(false)).await;
            }
        }
        true
    }

    /// Says something until it is heard. A worker that is not heard for the lease gives up: the job is lost then, and
    /// its keeper has ended it.
    pub(super) async fn report(&mut self, report: Report) {
        let report = self.hiding.report(report);
        let give_up = Instant::now() + self.timing.lost;
        loop {
            let sent_at = Boottime::now();
            match self.link.report(self.name, report.clone()).await {
                Ok(order) => {
                    self.heard_at = sent_at;
                    return self.obey(order);
                }
                Err(error) => {
                    tracing::warn!(job = %self.name.job, %error, "the worker cannot reach the engine");
                }
            }
            if Instant::now() >= give_up {
                return self.obey(Order::Gone);
            }
            tokio::time::sleep(self.pause(false)).await;
        }
    }

    /// What the attempt needs to begin. `None`: it is over.
    pub(super) async fn materials(&mut self) -> Option<Materials> {
        let give_up = Instant::now() + self.timing.lost;
        loop {
            match self.link.materials(self.name).await {
                Ok(materials) => {
                    if materials.is_none() {
                        self.obey(Order::Gone);
                    }
                    return materials;
                }
                Err(error) => tracing::warn!(job = %self.name.job, %error, "the worker cannot reach the engine"),
            }
            if Instant::now() >= give_up {
                self.obey(Order::Gone);
                return None;
            }
            tokio::time::sleep(self.pause(false)).await;
        }
    }
}

/// No chunk is longer than chunks are.
fn cut(entry: Entry) -> Vec<Entry> {
    match entry {
        Entry::Chunk(chunk) if chunk.bytes.len() > CHUNK_MAX => {
            let pieces = chunk.bytes.chunks(CHUNK_MAX);
            pieces.map(|piece| Entry::Chunk(NewChunk { bytes: piece.to_vec(), ..chunk.clone() })).collect()
        }
        other => vec![other],
    }
}
