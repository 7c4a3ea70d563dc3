//! What a playbook came to: by its exit code, in Ansible's meaning of it, and in the words of the first failure.

use std::collections::{BTreeMap, BTreeSet};

use chandler_model::jobs::{Fault, Success};
use chandler_model::task_events::NewTaskEvent;
use serde::Deserialize;

use crate::tools::{Exit, Verdict};

/// Longest diagnostic, in characters.
const DIAGNOSTIC_MAX: usize = 1000;
/// So many hosts are named in a sentence.
const NAMED: usize = 5;

/// Sees every event of a playbook and keeps what its end will be told by.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    changed: bool,
    /// The playbook was begun: it could be read.
    begun: bool,
    /// A host was found unreachable.
    dark: bool,
    stats: Option<Stats>,
    /// In the order of failing.
    failures: Vec<Failure>,
    /// What was printed as an error outside of every callback.
    error: Option<String>,
    /// Text on standard error that is no error by its own words, in case there is nothing better.
    aside: Option<String>,
}

#[derive(Debug)]
struct Failure {
    host: String,
    text: String,
}

/// Hosts and how often each did so, as the recap has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    dark: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    rescued: BTreeMap<String, u64>,
}

/// As much of a result as says why it failed.
#[derive(Deserialize)]
struct Data {
    res: Res,
}

#[derive(Deserialize)]
struct Res {
    msg: Option<serde_json::Value>,
    /// Instead of everything else, if it must not be logged.
    censored: Option<serde_json::Value>,
    /// Of a failed loop: the items, which have failed before.
    results: Option<serde::de::IgnoredAny>,
}

impl Outcome {
    pub(super) fn note(&mut self, event: &NewTaskEvent) {
        match event.event.as_str() {
            "playbook_on_start" => self.begun = true,
            "playbook_on_stats" => self.stats = serde_json::from_str(&event.data.0).ok(),
            "error" => self.note_error(&event.stdout),
            name if name.starts_with("runner_") => {
                self.changed |= event.changed;
                self.dark |= name == "runner_on_unreachable";
                if event.failed {
                    self.note_failure(event);
                }
            }
            _ => {}
        }
    }

    fn note_error(&mut self, text: &str) {
        let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return };
        let said = ["[ERROR]:", "ERROR!"].iter().find_map(|mark| line.strip_prefix(mark)).map(str::trim);
        let kept = if said.is_some() { &mut self.error } else { &mut self.aside };
        // Ansible warns on the same stream before the plugin is there.
        if kept.is_none() && !line.starts_with("[WARNING]") && !line.starts_with("[DEPRECATION WARNING]") {
            *kept = Some(bounded(said.unwrap_or(line)));
        }
    }

    fn note_failure(&mut self, event: &NewTaskEvent) {
        let host = event.host_name.clone().unwrap_or_default();
        let data = serde_json::from_str::<Data>(&event.data.0).ok();
        let repeats = data.as_ref().is_some_and(|data| data.res.results.is_some());
        if repeats && self.failures.last().is_some_and(|last| last.host == host) {
            return;
        }
        let message = data.and_then(|data| data.res.msg.or(data.res.censored)).map(|message| match message {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        });
        let message = message.unwrap_or_else(|| event.stdout.clone());
        let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no message");
        let text = match &event.task {
            Some(task) => format!("Task `{task}` failed on {host}: {line}"),
            None => format!("{host}: {line}"),
        };
        self.failures.push(Failure { host, text: bounded(&text) });
    }

    /// The first failure that counts, else the first error that was printed.
    pub(super) fn diagnostic(&self) -> Option<String> {
        self.failure().or(self.error.as_deref()).or(self.aside.as_deref()).map(str::to_owned)
    }

    fn failure(&self) -> Option<&str> {
        let Some(stats) = &self.stats else { return self.failures.first().map(|first| first.text.as_str()) };
        let lost = |host: &String| counted(&stats.dark).chain(counted(&stats.failures)).any(|name| name == host);
        let host = self.failures.iter().map(|failure| &failure.host).find(|host| lost(host))?;
        let mut own = self.failures.iter().filter(|failure| failure.host == *host);
        // Where some failures were rescued, the one that was not came last.
        let failure = if stats.rescued.contains_key(host) { own.next_back() } else { own.next() };
        failure.map(|failure| failure.text.as_str())
    }

    /// Ansible's codes: 1 error, 2 hosts failed, 4 hosts unreachable or playbook unreadable, 8 a play was broken off, 5
    /// wrong options, 99 interrupted, 250 and 255 its own failure. 2, 4 and 8 may come together.
    pub(super) fn verdict(&self, exit: Exit) -> Verdict {
        let Some(code) = exit.code else { return exit.plainly("ansible-playbook") };
        let failed = |reason: String| Verdict::Failed(Fault::Work, reason);
        match code {
            0 => Verdict::Done(Some(if self.changed { Success::Changed } else { Success::Unchanged })),
            1 if self.begun => failed("The playbook ended with an error.".to_owned()),
            1 => failed("The playbook was not begun: something that it needs is missing or wrong.".to_owned()),
            2 | 6 | 8 | 10 | 12 | 14 if self.begun => failed(self.hosts(code)),
            4 if self.dark || self.stats.is_some() => failed(self.hosts(code)),
            4 => failed(
                "The playbook could not be read: it has an error, or a file that it names is not there.".to_owned(),
            ),
            2 | 5 => failed("ansible-playbook does not accept the options of this job.".to_owned()),
            99 => failed("ansible-playbook was interrupted.".to_owned()),
            126 | 127 => {
                let reason = "ansible-playbook cannot be started here: install ansible-core where this job runs, on the \
                              worker or in the image of its environment.";
                Verdict::Failed(Fault::Platform, reason.to_owned())
            }
            250 | 255 => failed(format!("ansible-playbook itself failed unexpectedly (exit code {code}).")),
            _ => exit.plainly("ansible-playbook"),
        }
    }

    fn hosts(&self, code: i32) -> String {
        let none = Stats::default();
        let stats = self.stats.as_ref().unwrap_or(&none);
        let failed: BTreeSet<_> = counted(&stats.failures).collect();
        let dark: BTreeSet<_> = counted(&stats.dark).collect();
        let mut parts = Vec::new();
        if !failed.is_empty() || code & 2 != 0 {
            parts.push(format!("tasks failed on {}", listed(&failed)));
        }
        if !dark.is_empty() || code & 4 != 0 {
            parts.push(format!("{} could not be reached", listed(&dark)));
        }
        if code & 8 != 0 {
            parts.push("a play was broken off because too many of its hosts failed".to_owned());
        }
        format!("The playbook failed: {}.", parts.join("; "))
    }
}

fn counted(hosts: &BTreeMap<String, u64>) -> impl Iterator<Item = &String> {
    hosts.iter().filter(|(_, times)| **times > 0).map(|(host, _)| host)
}

fn listed(hosts: &BTreeSet<&String>) -> String {
    let named: Vec<&str> = hosts.iter().take(NAMED).map(|host| host.as_str()).collect();
    match hosts.len() {
        0 => "some hosts".to_owned(),
        many if many > NAMED => format!("{many} hosts ({}, …)", named.join(", ")),
        _ => named.join(", "),
    }
}

fn bounded(text: &str) -> String {
    text.char_indices().nth(DIAGNOSTIC_MAX).map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chandler_model::RawJson;
    use jiff::Timestamp;
    use uuid::Uuid;

    fn event(name: &str, host: &str, task: &str, data: &str) -> NewTaskEvent {
        NewTaskEvent {
            at: Timestamp::UNIX_EPOCH,
            uuid: Uuid::nil(),
            parent_uuid: None,
            event: name.to_owned(),
            host_name: Some(host.to_owned()),
            play: None,
            task: Some(task.to_owned()),
            role: None,
            failed: name.ends_with("failed") || name.ends_with("unreachable"),
            changed: false,
            data: RawJson(data.to_owned()),
            stdout: data.to_owned(),
        }
    }

    fn outcome(events: &[NewTaskEvent]) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.note(&event("playbook_on_start", "", "", "{}"));
        for event in events {
            outcome.note(event);
        }
        outcome
    }

    fn reason(outcome: &Outcome, code: i32) -> String {
        match outcome.verdict(Exit { code: Some(code), signal: None }) {
            Verdict::Failed(_, reason) => reason,
            Verdict::Done(_) => panic!("well"),
        }
    }

    #[test]
    fn codes_mean_what_ansible_means_by_them() {
        let seen = outcome(&[event("playbook_on_stats", "", "", r#"{"failures":{"a":1},"dark":{"b":1}}"#)]);
        assert_eq!(reason(&seen, 2), "The playbook failed: tasks failed on a; b could not be reached.");
        assert_eq!(reason(&seen, 4), "The playbook failed: tasks failed on a; b could not be reached.");
        assert_eq!(
            reason(&seen, 10),
            "The playbook failed: tasks failed on a; b could not be reached; a play was broken off because too many of its hosts failed."
        );
        let dark = outcome(&[event("runner_on_unreachable", "b", "t", "{}")]);
        assert_eq!(reason(&dark, 4), "The playbook failed: some hosts could not be reached.");
        assert_eq!(reason(&outcome(&[]), 77), "ansible-playbook ended with exit code 77.");
        assert!(reason(&Outcome::default(), 4).starts_with("The playbook could not be read"));
        assert_eq!(reason(&outcome(&[]), 1), "The playbook ended with an error.");
        assert!(reason(&Outcome::default(), 1).starts_with("The playbook was not begun"));
        assert!(reason(&Outcome::default(), 5).contains("options"));
        let missing = Outcome::default().verdict(Exit { code: Some(127), signal: None });
        assert!(matches!(missing, Verdict::Failed(Fault::Platform, _)));
        let ended = Outcome::default().verdict(Exit { code: None, signal: Some(9) });
        assert_eq!(ended, Verdict::Failed(Fault::Work, "ansible-playbook was ended by signal 9.".to_owned()));
        let many: Vec<String> = (0..7).map(|n| format!("\"h{n}\":1")).collect();
        let seen = outcome(&[event("playbook_on_stats", "", "", &format!("{{\"failures\":{{{}}}}}", many.join(",")))]);
        assert_eq!(reason(&seen, 2), "The playbook failed: tasks failed on 7 hosts (h0, h1, h2, h3, h4, …).");
    }

    #[test]
    fn the_diagnostic_is_the_first_failure_that_counts() {
        let failed =
            |task, message: &str| event("runner_on_failed", "a", task, &format!("{{\"res\":{{\"msg\":{message}}}}}"));
        let (one, two) = (failed("one", "\"first\\nmore\""), failed("two", "[\"x\", 2]"));
        let plain = event("playbook_on_stats", "", "", r#"{"failures":{"a":2}}"#);
        let rescued = event("playbook_on_stats", "", "", r#"{"failures":{"a":1},"rescued":{"a":1}}"#);
        let well = event("playbook_on_stats", "", "", r#"{"rescued":{"a":1}}"#);
        let diagnostic = |events: &[NewTaskEvent]| outcome(events).diagnostic();
        assert_eq!(diagnostic(&[one.clone(), two.clone(), plain]).unwrap(), "Task `one` failed on a: first");
        assert_eq!(diagnostic(&[one.clone(), two, rescued]).unwrap(), "Task `two` failed on a: [\"x\",2]");
        assert_eq!(diagnostic(&[one, well]), None);
    }

    #[test]
    fn of_a_loop_the_item_is_the_failure() {
        let item = event("runner_item_on_failed", "a", "t", r#"{"res":{"msg":"no such item"}}"#);
        let all = event("runner_on_failed", "a", "t", r#"{"res":{"msg":"One or more items failed","results":[]}}"#);
        assert_eq!(outcome(&[item, all.clone()]).diagnostic().unwrap(), "Task `t` failed on a: no such item");
        assert_eq!(outcome(&[all]).diagnostic().unwrap(), "Task `t` failed on a: One or more items failed");
    }

    #[test]
    fn without_a_failure_the_first_error_is_the_diagnostic() {
        let said = |text: &str| NewTaskEvent { stdout: text.to_owned(), ..event("error", "", "", "{}") };
        let seen = outcome(&[said("[WARNING]: w"), said("aside"), said("ERROR! broken\nmore")]);
        assert_eq!(seen.diagnostic().unwrap(), "broken");
        assert_eq!(outcome(&[said("[WARNING]: w"), said("aside")]).diagnostic().unwrap(), "aside");
    }
}
