//! What the Rust files say, read as tokens: comments and text inside strings cannot deceive these rules.

use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{nothing_wrong, tree};

/// One string literal and the line on which it starts.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The string literals of a file, without documentation.
pub(super) fn strings(source: &str) -> Result<Vec<Text>, String> {
    let mut found = Vec::new();
    collect(parse(source)?, &mut found, &mut Vec::new());
    Ok(found)
}

/// Macros and attributes that mark unfinished work or switch a test off.
pub(super) fn unfinished(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    match parse(source) {
        Ok(stream) => collect(stream, &mut Vec::new(), &mut found),
        Err(error) => return vec![format!("{path}: {error}")],
    }
    found.into_iter().map(|Text { line, text }| format!("{path}:{line}: {text}")).collect()
}

fn parse(source: &str) -> Result<TokenStream, String> {
    TokenStream::from_str(source).map_err(|error| format!("is not Rust: {error}"))
}

fn collect(stream: TokenStream, strings: &mut Vec<Text>, unfinished: &mut Vec<Text>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                let inner = matches!(trees.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
                if let Some(TokenTree::Group(group)) = trees.get(at + usize::from(inner))
                    && group.delimiter() == Delimiter::Bracket
                {
                    at += usize::from(inner) + 1;
                    attribute(group, strings, unfinished);
                }
            }
            TokenTree::Ident(name) => {
                let called = matches!(trees.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '!')
                    && matches!(trees.get(at + 1), Some(TokenTree::Group(_)));
                if called && ["todo", "unimplemented", "dbg"].iter().any(|word| name == word) {
                    unfinished.push(Text { line: name.span().start().line, text: format!("{name}!") });
                }
            }
            TokenTree::Literal(literal) => {
                let written = literal.to_string();
                if let Some(text) = string_text(&written) {
                    strings.push(Text { line: literal.span().start().line, text });
                }
            }
            TokenTree::Group(group) => collect(group.stream(), strings, unfinished),
            TokenTree::Punct(_) => {}
        }
    }
}

fn attribute(group: &Group, strings: &mut Vec<Text>, unfinished: &mut Vec<Text>) {
    let written = group.stream().to_string();
    if written.starts_with("doc") {
        return;
    }
    let switched_off = written == "ignore"
        || written.starts_with("ignore =")
        || (written.starts_with("cfg_attr") && written.contains(", ignore"));
    if switched_off {
        unfinished.push(Text { line: group.span_open().start().line, text: "#[ignore]".to_owned() });
    }
    collect(group.stream(), strings, unfinished);
}

/// The text of a string literal of any kind, `None` for characters and numbers. Escapes other than line ends stay as
/// they are written: no rule looks at them.
fn string_text(literal: &str) -> Option<String> {
    let body = literal.trim_start_matches(['b', 'c']);
    if let Some(raw) = body.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return Some(raw.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    }
    let text = body.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\n", " ").replace("\\n", "\n").replace("\\\"", "\""))
}

#[test]
fn nothing_unfinished_and_no_test_switched_off() {
    nothing_wrong(tree::sources().iter().flat_map(|file| unfinished(&file.path, &file.text)).collect());
}

#[test]
fn unfinished_work_is_seen_in_code_and_only_there() {
    let bad = "fn a() { todo!() }\nfn b() { dbg!(1); unimplemented![] }\n#[test]\n#[ignore = \"slow\"]\nfn c() {}\n\
        #[cfg_attr(windows, ignore)]\nfn d() {}";
    let seen = unfinished("a.rs", bad);
    assert_eq!(
        seen,
        ["a.rs:1: todo!", "a.rs:2: dbg!", "a.rs:2: unimplemented!", "a.rs:4: #[ignore]", "a.rs:6: #[ignore]"]
    );
    let good = "//! todo!() in prose\n/// #[ignore]\nfn a(todo: u8) -> bool { todo != 1 && \"dbg!(1)\" != \"\" }";
    assert_eq!(unfinished("a.rs", good), [""; 0]);
    assert_eq!(unfinished("a.rs", "fn a( {").len(), 1);
}

#[test]
fn strings_are_found_whatever_their_form_and_documentation_is_not() {
    let source = "//! \"head\"\n#[doc = \"no\"]\nconst A: &str = \"one \\\n   two\";\nconst B: &[u8] = br#\"a \"raw\" one\"#;\nconst C: char = '\"';";
    let texts: Vec<_> = strings(source).unwrap();
    assert_eq!(
        texts,
        [Text { line: 3, text: "one     two".to_owned() }, Text { line: 5, text: "a \"raw\" one".to_owned() }]
    );
}
