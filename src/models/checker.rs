//! The model checker itself: it finds what the other models rely on it to find.

use std::cell::UnsafeCell;

use loom::thread;

use super::*;
use crate::sync::{Arc, AtomicBool, Cells, OnceLock};

/// A unit of memory, and whether it is written.
struct Published {
    units: Cells,
    is_written: AtomicBool,
}

fn published_with(order: Ordering) {
    model(&["not yet", "written"], move |outcomes| {
        let published = Arc::new(Published {
            units: Cells::new(vec![UnsafeCell::new(0)].into()),
            is_written: AtomicBool::new(false),
        });
        let writing = thread::spawn({
            let published = Arc::clone(&published);
            move || {
                published.units.write(0..1);
                published.is_written.store(true, order);
            }
        });
        if published.is_written.load(Ordering::Acquire) {
            published.units.note_read(0..1);
            outcomes.came_to("written");
        } else {
            outcomes.came_to("not yet");
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_publication_with_release_is_no_race() {
    published_with(Ordering::Release);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_publication_without_release_is_a_race() {
    published_with(Ordering::Relaxed);
}

#[test]
fn a_store_is_tried_before_a_load_though_the_storing_thread_has_loaded_since() {
    let outcomes = ["none", "the first", "the second", "both"];
    model(&outcomes, move |reached| {
        let flags = Arc::new((AtomicBool::new(false), OnceLock::new()));
        let setting = thread::spawn({
            let flags = Arc::clone(&flags);
            move || {
                assert!(!flags.0.load(Ordering::Acquire));
                flags.0.store(true, Ordering::Release);
                assert!(flags.1.get().is_none());
                flags.1.set(()).unwrap();
            }
        });
        let first = usize::from(flags.0.load(Ordering::Acquire));
        let second = usize::from(flags.1.get().is_some());
        reached.came_to(outcomes[first + 2 * second]);
        setting.join().unwrap();
    });
}
