//! Longer reading, in chapters. Every example is compiled, and run with the tests.
//!
//! | chapter | for whoever asks |
//! | --- | --- |
//! | [From Kinesis](from_kinesis) | Which method is the call that I know? |
//! | [Differences](differences) | Which rules of Kinesis hold, which do not, and why? |
//! | [Ordering and locks](ordering_and_locks) | What comes after what? What may my code do where it is called? |
//! | [Waiting](waiting) | How do I wait for records, and what does it cost? |
//! | [Memory and retention](memory_and_retention) | How much memory is it, and for how long? |
//! | [On the wire](on_the_wire) | How does code that uses the AWS SDK run on it, in Rust and elsewhere? |
//! | [Speed](speed) | What does a put cost, what for, and how do I make it cheaper? |
//! | [Testing](testing) | How do I test code that puts and reads: in virtual time, with faults? |
#![cfg_attr(
    feature = "testing",
    doc = "| [Capture and simulation](simulation) | How do I replay what went wrong, and find what will? |"
)]

pub mod differences;
pub mod from_kinesis;
pub mod memory_and_retention;
pub mod on_the_wire;
pub mod ordering_and_locks;
#[cfg(feature = "testing")]
pub mod simulation;
pub mod speed;
pub mod testing;
pub mod waiting;
