//! What the fuzzers have found worth keeping, run again: each input by the function that it was found
//! with. `tests/README.md` says how they are run; `tests/fuzz` is the package that runs them.
//!
//! An input that makes a target fail is kept here, in the folder of its target, and its bug is then
//! mended.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../common/mod.rs"]
mod common;
#[path = "../model/limits.rs"]
mod limits;
#[allow(dead_code, reason = "the machine of random operations uses the rest")]
#[path = "../model/op.rs"]
mod op;
mod ops;
mod parsers;
#[allow(dead_code, reason = "the machine of random operations uses the rest")]
#[path = "../model/run.rs"]
mod run;
#[path = "../model/twin.rs"]
mod twin;
#[cfg(feature = "protocol")]
mod wire;

/// The targets: a function, and a folder of the same name with its inputs.
macro_rules! replay {
    ($($(#[$condition:meta])? $of:ident::$target:ident)*) => {
        $($(#[$condition])?
        #[test]
        fn $target() {
            replay(stringify!($target), $of::$target);
        })*

        #[test]
        fn every_folder_of_inputs_has_its_target() {
            let targets = [$(stringify!($target)),*];
            for folder in fs::read_dir(folder()).expect("the folder is there") {
                let folder = folder.expect("it can be listed");
                let name = folder.file_name().into_string().expect("a plain name");
                let is_folder = folder.file_type().expect("it has a type").is_dir();
                assert!(!is_folder || targets.contains(&&*name), "nobody replays {name}");
            }
        }
    };
}

// Another target: its function in a module beside these, its name here, and three lines for the fuzzer
// in tests/fuzz.
replay! {
    parsers::sequence_number
    parsers::hash_key
    parsers::shard_id
    parsers::timestamp
    parsers::starting_position
    parsers::subscription_positions
    ops::engine
    #[cfg(feature = "protocol")] wire::json_body
    #[cfg(feature = "protocol")] wire::cbor_body
    #[cfg(feature = "protocol")] wire::token
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))
}

fn replay(target: &str, run: fn(&[u8])) {
    let inputs = fs::read_dir(folder().join(target)).expect("the target has a folder");
    let mut paths: Vec<_> = inputs
        .map(|input| input.expect("it can be listed").path())
        .collect();
    assert!(!paths.is_empty(), "there is nothing to be replayed");
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path).expect("the input can be read");
        let outcome = catch_unwind(|| run(&bytes));
        assert!(outcome.is_ok(), "fails with {}", path.display());
    }
}
