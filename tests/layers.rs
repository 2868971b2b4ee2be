//! The floors of the crate: imports run downwards only, as the drawing in `src/lib.rs` ("Layout")
//! says, and a few things are named in one place only.
//!
//! The test reads the sources as text: comments and literals are blanked, the rest is cut into
//! words and signs. The checker is itself checked at the end, with planted violations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Each module of `lib.rs`, with its floor.
type Floors = BTreeMap<String, u32>;

#[test]
fn every_import_runs_downwards() {
    let sources = sources();
    let floors = floors_of(lib(&sources)).expect("the drawing in src/lib.rs can be read");
    let faults: Vec<_> = sources
        .iter()
        .filter(|source| source.path != "lib.rs" && !source.path.starts_with(PROGRAMS))
        .flat_map(|source| upward_imports(source, &floors))
        .collect();
    assert_none(
        &faults,
        "Let the lower floor own the trait or the type and the upper one implement it, or correct \
         the drawing in src/lib.rs.",
    );
}

#[test]
fn the_drawing_shows_every_module_and_no_other() {
    let sources = sources();
    let lib = lib(&sources);
    let floors = floors_of(lib).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(
        floors.keys().cloned().collect::<Vec<_>>(),
        modules_of(lib),
        "the modules that \"Layout\" of src/lib.rs draws (left) are those that it declares (right)"
    );
}

#[test]
fn only_the_sync_module_names_primitives_of_concurrency() {
    check_all(
        "sync",
        "Take it from crate::sync, so that a model checker can stand in.",
        |tokens| {
            let primitives = |root: &str| {
                let found = paths(tokens, root).into_iter();
                found.filter(|(_, name)| matches!(name.as_str(), "sync" | "thread" | "*"))
            };
            let std = ["std", "core", "alloc"].into_iter().flat_map(primitives);
            let locks = ["parking_lot", "spin"];
            let named = tokens
                .iter()
                .filter(|token| locks.contains(&token.text.as_str()));
            std.map(|(line, name)| (line, format!("names std::{name}")))
                .chain(named.map(|token| (token.line, format!("names {}", token.text))))
                .collect()
        },
    );
}

#[test]
fn only_the_chunk_of_the_log_is_unsafe() {
    check_all(
        "log/chunk",
        "Write it without unsafe code, or move it into the chunk.",
        |tokens| words(tokens, &["unsafe"]),
    );
}

#[test]
fn only_the_clock_reads_the_time() {
    check_all(
        "clock",
        "Ask the stream's Clock: a test turns it by hand.",
        |tokens| {
            let mut found = words(tokens, &["SystemTime", "Instant", "park_timeout"]);
            found.extend(sleeps(tokens));
            found
        },
    );
}

#[test]
fn nothing_but_a_test_unwraps() {
    check_all(
        "",
        "Return an error, or `expect` with the reason why it holds.",
        |tokens| words(tokens, &["unwrap", "unwrap_err", "unwrap_unchecked"]),
    );
}

/// One file below `src/`.
struct Source {
    path: String,
    text: String,
}

/// A word or a sign of the code.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// Tests, though they lie among the sources: what the model checker and the random scheduler run.
const CHECKED: [&str; 2] = ["models", "schedules"];

/// What stands on the library as any other program does.
const PROGRAMS: &str = "bin/";

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    sources.retain(|source| {
        let mut left_out = CHECKED.iter().chain([&PROGRAMS]);
        !left_out.any(|module| source.path.starts_with(module))
    });
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("it lies below");
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            sources.push(Source {
                path: parts.join("/"),
                text: fs::read_to_string(&path).expect("the source is text"),
            });
        }
    }
}

fn lib(sources: &[Source]) -> &str {
    let lib = sources.iter().find(|source| source.path == "lib.rs");
    &lib.expect("the crate has a lib.rs").text
}

/// Runs a check over the code of all files that is not a test, but for one module.
fn check_all(except: &str, advice: &str, check: impl Fn(&[Token]) -> Vec<(usize, String)>) {
    let sources = sources();
    assert!(
        except.is_empty() || sources.iter().any(|source| is_in(&source.path, except)),
        "src has no module {except} any more: tell this test where its code is now"
    );
    let mut faults = Vec::new();
    for source in sources {
        if is_in(&source.path, except) || is_test(&source.path) {
            continue;
        }
        let found = check(&without_tests(&tokens_of(&source.text)));
        faults.extend(
            found
                .iter()
                .map(|(line, what)| format!("src/{}:{line} {what}", source.path)),
        );
    }
    assert_none(&faults, advice);
}

fn assert_none(faults: &[String], advice: &str) {
    assert!(faults.is_empty(), "\n{}\n{advice}\n", faults.join("\n"));
}

/// Whether a file is of a module, such as `log/chunk`.
fn is_in(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module).filter(|_| !module.is_empty());
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether a file is a module of tests.
fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs"))
}

/// The floor of each module, from the drawing below the heading "Layout".
///
/// A line is a floor, modules and perhaps what the floor is for. Whatever stands behind the modules
/// has to be one piece of several words: a module that is gone would not be.
fn floors_of(lib: &str) -> Result<Floors, String> {
    let modules = modules_of(lib);
    let docs = lib.lines().map_while(|line| line.strip_prefix("//!"));
    let layout = docs.skip_while(|line| line.trim() != "# Layout");
    let drawing = layout.skip_while(|line| line.trim() != "```text").skip(1);
    let mut floors = Floors::new();
    for line in drawing.take_while(|line| line.trim() != "```") {
        let (floor, mut rest) = line
            .trim()
            .split_once(' ')
            .ok_or("a floor without a module")?;
        let floor = floor.parse().map_err(|_| format!("not a floor: {line}"))?;
        while let Some(name) = rest.split_whitespace().next() {
            if !modules.iter().any(|module| module == name) {
                break;
            }
            if floors.insert(name.to_owned(), floor).is_some() {
                return Err(format!("{name} is drawn twice"));
            }
            rest = rest
                .trim_start()
                .strip_prefix(name)
                .expect("it begins with its word");
        }
        let what_for = rest.trim();
        let one_piece = !what_for.contains("  ") && what_for.contains(' ');
        if !what_for.is_empty() && !one_piece {
            return Err(format!(
                "src/lib.rs draws what is no module of it: {what_for}"
            ));
        }
    }
    if floors.is_empty() {
        return Err("src/lib.rs has no drawing below \"# Layout\"".to_owned());
    }
    Ok(floors)
}

/// The modules that `lib.rs` declares, sorted.
fn modules_of(lib: &str) -> Vec<String> {
    let tokens = tokens_of(lib);
    let declared = tokens
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == ";")
        .filter(|three| !CHECKED.contains(&three[1].text.as_str()));
    let mut modules: Vec<_> = declared.map(|three| three[1].text.clone()).collect();
    modules.sort();
    modules
}

/// What a file imports from its own floor or from above, each with the place and the reason.
fn upward_imports(source: &Source, floors: &Floors) -> Vec<String> {
    let module = source
        .path
        .split(['/', '.'])
        .next()
        .expect("a path has a first part");
    let fault = |line: usize, what: String| format!("src/{}:{line} {what}", source.path);
    let Some(own) = floors.get(module) else {
        return vec![fault(1, format!("{module} is not drawn in src/lib.rs"))];
    };
    let tokens = tokens_of(&source.text);
    let from_root = paths(&tokens, "crate")
        .into_iter()
        .chain(super_paths(&tokens, &source.path));
    from_root
        .filter(|(_, name)| name != module)
        .filter_map(|(line, name)| match floors.get(&name) {
            Some(floor) if floor < own => None,
            Some(floor) => Some(fault(
                line,
                format!("{module} (floor {own}) imports {name} (floor {floor})"),
            )),
            None => Some(fault(
                line,
                format!("imports crate::{name}: name the module it is in"),
            )),
        })
        .collect()
}

/// The first name behind each `root::`, with its line; of `root::{a, b::{c, d}}` it is `a` and `b`.
fn paths(tokens: &[Token], root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let goes_on = at > 0 && tokens[at - 1].text == "::" && is_word(tokens, at.wrapping_sub(2));
        if tokens[at].text != root || goes_on {
            continue;
        }
        match tokens.get(at + 1).map(|token| token.text.as_str()) {
            Some("::") => found.extend(first_names(&tokens[at + 2..])),
            // Under another name the crate would escape this test.
            Some("as") => found.push((tokens[at].line, "*".to_owned())),
            _ => {}
        }
    }
    found
}

/// As [`paths`], for the `super::` that lead to the crate's root.
fn super_paths(tokens: &[Token], path: &str) -> Vec<(usize, String)> {
    let parts: Vec<_> = path.trim_end_matches(".rs").split('/').collect();
    let file_depth = parts.iter().filter(|part| **part != "mod").count();
    // Whether each open brace is that of a module.
    let mut braces = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => braces.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "super" => {
                let depth = file_depth + braces.iter().filter(|is_module| **is_module).count();
                let mut steps = 1;
                while tokens
                    .get(at + 2)
                    .is_some_and(|token| token.text == "super")
                {
                    (at, steps) = (at + 2, steps + 1);
                }
                if steps >= depth && tokens.get(at + 1).is_some_and(|token| token.text == "::") {
                    found.extend(first_names(&tokens[at + 2..]));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The first name of a path, or of each path of a group in braces.
fn first_names(tokens: &[Token]) -> Vec<(usize, String)> {
    let name = |token: &Token| (token.line, token.text.clone());
    if tokens.first().is_none_or(|token| token.text != "{") {
        return tokens.first().map(name).into_iter().collect();
    }
    let (mut names, mut depth) = (Vec::new(), 0);
    for at in 0..tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before].text.as_str());
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," | "self" => {}
            _ if depth == 1 && matches!(before, Some("{" | ",")) => names.push(name(&tokens[at])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn words(tokens: &[Token], forbidden: &[&str]) -> Vec<(usize, String)> {
    let found = tokens
        .iter()
        .filter(|token| forbidden.contains(&token.text.as_str()));
    found
        .map(|token| (token.line, format!("says {}", token.text)))
        .collect()
}

/// Where code sleeps, or may: not where a function or a module of that name is, as the AWS SDK has.
fn sleeps(tokens: &[Token]) -> Vec<(usize, String)> {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| &*token.text);
    let is_other =
        |at: usize| text(at.checked_sub(1)) == Some("fn") || text(Some(at + 1)) == Some("::");
    let sleeps = (0..tokens.len()).filter(|at| tokens[*at].text == "sleep" && !is_other(*at));
    sleeps
        .flat_map(|at| words(&tokens[at..=at], &["sleep"]))
        .collect()
}

fn is_word(tokens: &[Token], at: usize) -> bool {
    let first = tokens.get(at).and_then(|token| token.text.chars().next());
    first.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The tokens without the items that stand behind `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens.len() - at >= MARK.len()
            && MARK
                .iter()
                .zip(&tokens[at..])
                .all(|(mark, token)| *mark == token.text);
        if !marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            let over = depth == 0 && matches!(tokens[at].text.as_str(), "}" | ";");
            at += 1;
            if over {
                break;
            }
        }
    }
    kept
}

/// Cuts code into words and signs; `::` is one sign.
fn tokens_of(source: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in blank(source).lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = if is_part(first) {
                rest.find(|c| !is_part(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token {
                line: index + 1,
                text: rest[..length].to_owned(),
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Replaces comments and the insides of literals by spaces; lines stay.
fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
            continue;
        }
        code.extend(
            chars[at..end]
                .iter()
                .map(|c| if *c == '\n' { '\n' } else { ' ' }),
        );
        at = end;
    }
    code
}

/// Where the comment or literal that begins here ends; `at` if none does.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let begins = |text: &str| text.chars().zip(rest).filter(|(a, b)| a == *b).count() == text.len();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if begins("//") {
        return rest
            .iter()
            .position(|c| *c == '\n')
            .map_or(chars.len(), |length| at + length);
    }
    if begins("/*") {
        let (mut depth, mut end) = (0, at);
        while end < chars.len() {
            match chars[end..].first_chunk::<2>() {
                Some(['/', '*']) => (depth, end) = (depth + 1, end + 2),
                Some(['*', '/']) => (depth, end) = (depth - 1, end + 2),
                _ => end += 1,
            }
            if depth == 0 {
                break;
            }
        }
        return end;
    }
    let raw = usize::from(begins("br")) + usize::from(begins("r") || begins("br"));
    let hashes = rest[raw..].iter().take_while(|c| **c == '#').count();
    if raw > 0 && !in_word && rest.get(raw + hashes) == Some(&'"') {
        let close: Vec<char> = std::iter::once('"')
            .chain("#".repeat(hashes).chars())
            .collect();
        let inside = at + raw + hashes + 1;
        let length = chars[inside..]
            .windows(close.len())
            .position(|piece| piece == close);
        return length.map_or(chars.len(), |length| inside + length + close.len());
    }
    if rest[0] == '"' {
        return end_of_quoted(chars, at, '"');
    }
    // A quote that closes behind one character opens a literal; otherwise it is a lifetime.
    let is_char = rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\''));
    if is_char {
        end_of_quoted(chars, at, '\'')
    } else {
        at
    }
}

fn end_of_quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

mod the_checker {
    use super::*;

    const LIB: &str = "\
//! # Layout
//!
//! ```text
//!  2 shard      stream              what users see
//!  1 log
//!  0 sync       clock
//! ```
mod clock;
mod log;
pub mod shard;
mod stream;
mod sync;
";

    fn faults(path: &str, text: &str) -> Vec<String> {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        upward_imports(&source, &floors_of(LIB).expect("the drawing is good"))
    }

    fn found(text: &str, root: &str) -> Vec<String> {
        paths(&tokens_of(text), root)
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn reads_the_drawing() {
        let floors = floors_of(LIB).expect("the drawing is good");
        let expected = [
            ("clock", 0),
            ("log", 1),
            ("shard", 2),
            ("stream", 2),
            ("sync", 0),
        ];
        let floors: Vec<_> = floors
            .iter()
            .map(|(name, floor)| (name.as_str(), *floor))
            .collect();
        assert_eq!(floors, expected);
    }

    #[test]
    fn refuses_a_drawing_of_modules_that_are_gone_or_drawn_twice() {
        for (good, bad) in [
            ("1 log", "1 log  gone"),
            ("1 log", "1 gone"),
            ("stream              what", "gone  what"),
            ("1 log", "1 log  clock"),
            ("1 log", "x log"),
            ("# Layout", "# Elsewhere"),
        ] {
            assert!(floors_of(&LIB.replace(good, bad)).is_err(), "{bad}");
        }
        let forgotten = floors_of(&LIB.replace("sync       clock", "sync")).expect("it is read");
        assert!(!forgotten.contains_key("clock"));
    }

    #[test]
    fn lets_imports_run_downwards_and_within_a_module() {
        for text in [
            "use crate::log::Log;",
            "use crate::{log::Log, sync::{Arc, Mutex}, clock};",
            "use crate::shard::waiters::Waiters;",
            "pub(crate) fn f() -> crate::clock::Clock { crate::sync::now() }",
            "use self::x::Y; mod a { use super::b; }",
            "use other_crate::stream::X; use othercrate::stream;",
        ] {
            assert_eq!(faults("shard/mod.rs", text), [""; 0], "{text}");
        }
        assert_eq!(faults("shard/waiters.rs", "use super::batch::B;"), [""; 0]);
        assert_eq!(
            faults("shard/waiters.rs", "use super::super::log::Log;"),
            [""; 0]
        );
        assert_eq!(
            faults("shard/mod.rs", "mod tests { use super::*; }"),
            [""; 0]
        );
    }

    #[test]
    fn notices_an_import_from_above_or_from_the_side_however_it_is_written() {
        for text in [
            "use crate::stream::Stream;",
            "use crate::{log::Log, stream::Stream};",
            "use crate::{log::{Log, Place}, stream};",
            "use crate :: stream :: Stream;",
            "use crate::\n    stream::Stream;",
            "use {crate::log::Log, crate::stream::Stream};",
            "use ::std::fmt; pub use crate::stream as s;",
            "fn f() { let x = crate::stream::new(); }",
            "fn f() { let quote = '\"'; crate::stream::new() } // '\"'",
            "fn f<'a>(x: &'a str) { crate::stream::new::<'a>() }",
            "const A: &str = \"//\"; const B: u8 = crate::stream::B;",
            "const A: &str = r#\"\"//\"#; const B: u8 = crate::stream::B;",
            "/* /* */ */ use crate::stream::Stream;",
            "#[cfg(test)] mod tests { use crate::stream::Stream; }",
            "macro_rules! m { () => { $crate::stream::new() } }",
            "use super::stream::Stream;",
            "use super::{log, stream::Stream};",
            "mod inner { use super::super::stream::Stream; }",
        ] {
            let faults = faults("shard/mod.rs", text);
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert!(
                faults[0].contains("shard (floor 2) imports stream (floor 2)"),
                "{faults:?}"
            );
        }
        assert_eq!(faults("clock.rs", "use crate::sync::Arc;").len(), 1);
        assert_eq!(
            faults("log/deep/er.rs", "use super::super::super::shard::Shard;").len(),
            1
        );
        assert_eq!(
            faults("log.rs", "\n\nuse crate::shard::Shard;")[0]
                .split(' ')
                .next(),
            Some("src/log.rs:3")
        );
    }

    #[test]
    fn notices_an_import_that_hides_its_module() {
        for text in [
            "use crate::Shard;",
            "use crate::*;",
            "use crate as c;",
            "use crate::{Shard};",
        ] {
            assert_eq!(faults("log/mod.rs", text).len(), 1, "{text}");
        }
        assert_eq!(faults("new.rs", "").len(), 1, "a module that is not drawn");
    }

    #[test]
    fn is_not_misled_by_comments_and_literals() {
        for text in [
            "// use crate::stream::Stream;",
            "/// [`x`](crate::stream::Stream)",
            "/* crate::stream /* crate::stream */ crate::stream */",
            "const A: &str = \"crate::stream \\\" crate::stream\";",
            "const A: &str = r##\"crate::stream\"# crate::stream\"##;",
            "const A: &[u8] = b\"crate::stream\"; const B: &[u8] = br\"crate::stream\";",
        ] {
            assert_eq!(faults("log/mod.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn finds_what_is_imported_from_the_standard_library() {
        assert_eq!(found("use std::sync::Arc;", "std"), ["sync"]);
        assert_eq!(
            found("use std::{fmt, sync::{Arc, Mutex}, thread};", "std"),
            ["fmt", "sync", "thread"]
        );
        assert_eq!(
            found("fn f() { ::std::thread::yield_now() }", "std"),
            ["thread"]
        );
        assert_eq!(found("use std as s;", "std"), ["*"]);
        assert_eq!(found("use crate::std::sync;", "std"), [""; 0]);
    }

    #[test]
    fn tells_a_sleep_from_what_is_named_so() {
        for text in ["sleep(ms)", "f(time::sleep)", "use a::{sleep, b};"] {
            assert_eq!(sleeps(&tokens_of(text)).len(), 1, "{text}");
        }
        for text in [
            "use rt::sleep::Sleep;",
            "fn sleep(&self)",
            "asleep(); // sleep()",
        ] {
            assert!(sleeps(&tokens_of(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn looks_at_no_tests_where_tests_may_do_more() {
        let text =
            "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { a.unwrap(); } }\nfn h() { b.unwrap() }";
        assert_eq!(
            words(&without_tests(&tokens_of(text)), &["unwrap"]),
            [(4, "says unwrap".to_owned())]
        );
        let text = "#[cfg(test)]\nmod tests;\nfn h() { unsafe {} }";
        assert_eq!(
            words(&without_tests(&tokens_of(text)), &["unsafe"]).len(),
            1
        );
        assert!(
            words(
                &tokens_of("x.unwrap_or(1); // unsafe\n#![expect(unsafe_code)]"),
                &["unwrap", "unsafe"]
            )
            .is_empty()
        );
        assert!(is_in("clock.rs", "clock") && is_in("clock/mod.rs", "clock"));
        assert!(!is_in("clocks.rs", "clock") && !is_in("log/mod.rs", "log/chunk"));
        assert!(is_test("log/tests.rs") && is_test("log/tests/a.rs") && !is_test("log/mod.rs"));
    }
}
