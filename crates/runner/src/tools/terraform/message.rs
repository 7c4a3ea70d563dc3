//! One message of Terraform's machine-readable UI (`-json`, format 1.x) and how it reads as text. What a newer minor
//! version adds is passed over: a message then still has its sentence.

use std::collections::BTreeMap;
use std::fmt::Write;

use chandler_model::logs::Level;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(rename = "@level")]
    level: String,
    #[serde(rename = "@message")]
    sentence: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What Terraform complains of.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnostic {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
    address: Option<String>,
    range: Option<Range>,
    snippet: Option<Snippet>,
}

#[derive(Debug, Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Debug, Deserialize)]
struct Position {
    line: u64,
}

#[derive(Debug, Deserialize)]
struct Snippet {
    context: Option<String>,
    code: String,
    start_line: u64,
    #[serde(default)]
    values: Vec<Known>,
}

/// A value that the complaint is about.
#[derive(Debug, Deserialize)]
struct Known {
    traversal: String,
    statement: String,
}

/// How much was done, or would be.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Changes {
    add: u64,
    change: u64,
    remove: u64,
    import: u64,
    forget: u64,
    /// `plan`, `apply` or `destroy`.
    operation: String,
}

#[derive(Debug, Deserialize)]
struct Output {
    #[serde(default)]
    sensitive: bool,
    /// In a plan.
    action: Option<String>,
    /// A null is a value too: then it is here, and `value` is none.
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
    value: Option<Value>,
}

impl Message {
    /// None if the line is something else.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        if line.first() == Some(&b'{') { serde_json::from_slice(line).ok() } else { None }
    }

    pub(super) fn level(&self) -> Level {
        self.level.parse().unwrap_or_default()
    }

    pub(super) fn diagnostic(&self) -> Option<Diagnostic> {
        self.part("diagnostic")
    }

    /// What an apply or a destroy has changed; none for what is only planned.
    pub(super) fn done(&self) -> Option<Changes> {
        let changes: Changes = self.part("changes")?;
        (self.kind == "change_summary" && changes.operation != "plan").then_some(changes)
    }

    fn part<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        self.rest.get(name).and_then(|value| T::deserialize(value).ok())
    }

    /// What a person reads; whole lines, or nothing.
    pub(super) fn text(&self) -> String {
        match self.kind.as_str() {
            "diagnostic" => self.diagnostic().map(|diagnostic| diagnostic.text()),
            "outputs" => self.part("outputs").map(|outputs| outputs_text(&outputs)),
            "planned_change" | "resource_drift" => self.reason().map(|why| format!("{} ({why})\n", self.sentence)),
            _ => None,
        }
        .unwrap_or_else(|| format!("{}\n", self.sentence))
    }

    /// Why a change is planned, where Terraform says it.
    fn reason(&self) -> Option<String> {
        Some(self.rest.get("change")?.get("reason")?.as_str()?.replace('_', " "))
    }
}

impl Changes {
    pub(super) fn any(&self) -> bool {
        self.add + self.change + self.remove + self.import + self.forget > 0
    }
}

impl Diagnostic {
    pub(super) fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// Summary and the first line of the detail.
    pub(super) fn line(&self) -> String {
        match self.detail.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(detail) => format!("{}: {detail}", self.summary),
            None => self.summary.clone(),
        }
    }

    /// As Terraform prints it to a terminal, but for frame and colours.
    fn text(&self) -> String {
        let severity = if self.is_error() { "Error" } else { "Warning" };
        let mut text = format!("\n{severity}: {}\n\n", self.summary);
        // Writing to a string cannot fail.
        let _ = self.write_place(&mut text);
        if !self.detail.is_empty() {
            text.push_str(self.detail.trim_end());
            text.push_str("\n\n");
        }
        text
    }

    fn write_place(&self, text: &mut String) -> std::fmt::Result {
        if let Some(address) = &self.address {
            writeln!(text, "  with {address}{}", if self.range.is_some() { "," } else { "" })?;
        }
        if let Some(Range { filename, start }) = &self.range {
            write!(text, "  on {filename} line {}", start.line)?;
            match &self.snippet {
                Some(snippet) => snippet.write(text)?,
                None => writeln!(text, ":\n  (source code not available)")?,
            }
        }
        if self.address.is_some() || self.range.is_some() { writeln!(text) } else { Ok(()) }
    }
}

impl Snippet {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        match &self.context {
            Some(context) => writeln!(text, ", in {context}:")?,
            None => writeln!(text, ":")?,
        }
        for (number, line) in (self.start_line..).zip(self.code.lines()) {
            writeln!(text, "{number:4}: {line}")?;
        }
        if !self.values.is_empty() {
            writeln!(text, "    ├────────────────")?;
        }
        for Known { traversal, statement } in &self.values {
            writeln!(text, "    │ {traversal} {statement}")?;
        }
        Ok(())
    }
}

/// A plan says what will happen to outputs, an apply what they are.
fn outputs_text(outputs: &BTreeMap<String, Output>) -> String {
    let mut text = String::new();
    for (name, output) in outputs {
        match &output.action {
            Some(action) if action == "noop" && output.kind.is_none() => {}
            Some(action) if output.kind.is_none() => text.push_str(&format!("  {name}: {action}\n")),
            _ => text.push_str(&format!("{name} = {}\n", output.shown())),
        }
    }
    let planned = outputs.values().all(|output| output.kind.is_none());
    match (text.is_empty(), planned) {
        (true, _) => text,
        (false, true) => format!("\nChanges to outputs:\n{text}"),
        (false, false) => format!("\nOutputs:\n\n{text}"),
    }
}

impl Output {
    fn shown(&self) -> String {
        match &self.value {
            _ if self.sensitive => "<sensitive>".to_owned(),
            Some(value) => format!("{value:#}"),
            None => "null".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        Message::parse(line.as_bytes()).unwrap().text()
    }

    #[test]
    fn a_diagnostic_reads_as_on_a_terminal() {
        let line = r#"{"@level":"error","@message":"Error: Bad","type":"diagnostic","diagnostic":{"severity":"error",
            "summary":"Bad","detail":"It is not good.\nReally.","address":"a.b","range":{"filename":"m/main.tf",
            "start":{"line":9,"column":1,"byte":0},"end":{"line":10,"column":2,"byte":5}},"snippet":{"context":
            "resource \"a\" \"b\"","code":"  x = var.y\n  + 1","start_line":9,"highlight_start_offset":0,
            "highlight_end_offset":3,"values":[{"traversal":"var.y","statement":"is \"z\""}]}}}"#;
        let message = Message::parse(line.as_bytes()).unwrap();
        assert_eq!(message.level(), Level::Error);
        assert_eq!(message.diagnostic().unwrap().line(), "Bad: It is not good.");
        let expected = "\nError: Bad\n\n  with a.b,\n  on m/main.tf line 9, in resource \"a\" \"b\":\n   9:   x = var.y\n  \
            10:   + 1\n    ├────────────────\n    │ var.y is \"z\"\n\nIt is not good.\nReally.\n\n";
        assert_eq!(message.text(), expected);
    }

    #[test]
    fn a_diagnostic_without_a_place_is_summary_and_detail() {
        let line = r#"{"@level":"warn","@message":"Warning: W","type":"diagnostic",
            "diagnostic":{"severity":"warning","summary":"W","detail":""}}"#;
        assert_eq!(text(line), "\nWarning: W\n\n");
    }

    #[test]
    fn sensitive_outputs_are_hidden_even_if_they_came_with_a_value() {
        let line = r#"{"@level":"info","@message":"Outputs: 3","type":"outputs","outputs":{
            "a":{"sensitive":false,"type":"string","value":"x\ny"},
            "b":{"sensitive":true,"type":"string","value":"hush"},
            "c":{"sensitive":false,"type":"dynamic","value":null}}}"#;
        assert_eq!(text(line), "\nOutputs:\n\na = \"x\\ny\"\nb = <sensitive>\nc = null\n");
    }

    #[test]
    fn planned_outputs_are_what_will_happen_to_them() {
        let line = r#"{"@level":"info","@message":"Outputs: 2","type":"outputs","outputs":{
            "a":{"sensitive":false,"action":"create"},"b":{"sensitive":true,"action":"noop"}}}"#;
        assert_eq!(text(line), "\nChanges to outputs:\n  a: create\n");
        assert_eq!(text(r#"{"@level":"info","@message":"Outputs: 0","type":"outputs","outputs":{}}"#), "");
    }

    #[test]
    fn a_message_of_an_unknown_kind_or_shape_is_its_sentence() {
        assert_eq!(text(r#"{"@level":"info","@message":"New.","type":"new_in_2_0","x":[1]}"#), "New.\n");
        assert_eq!(text(r#"{"@level":"info","@message":"Odd.","type":"outputs","outputs":7}"#), "Odd.\n");
        let why = r#"{"@level":"info","@message":"a: Plan to replace","type":"planned_change",
            "change":{"action":"replace","reason":"cannot_update"}}"#;
        assert_eq!(text(why), "a: Plan to replace (cannot update)\n");
    }

    #[test]
    fn only_an_apply_has_done_something() {
        let changes = |operation: &str| {
            let line = format!(
                r#"{{"@level":"info","@message":"x","type":"change_summary",
                "changes":{{"add":0,"change":0,"import":0,"remove":1,"operation":"{operation}"}}}}"#
            );
            Message::parse(line.as_bytes()).unwrap().done().map(|changes| changes.any())
        };
        assert_eq!([changes("plan"), changes("apply"), changes("destroy")], [None, Some(true), Some(true)]);
    }

    #[test]
    fn other_json_is_no_message() {
        for line in ["{}", "[]", "{\"@level\":\"info\"}", "{\"a\":1", "text", ""] {
            assert!(Message::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
