use super::*;

/// Bytes that travel together: see [`OwnLine`].
const LINE_BYTES: usize = align_of::<OwnLine<()>>();

/// The lines on which fields lie.
macro_rules! lines {
    ($type:ty: $($field:ident . $of:ty),* $(,)?) => {
        [$((
            stringify!($field),
            std::mem::offset_of!($type, $field) / LINE_BYTES
                ..=(std::mem::offset_of!($type, $field) + size_of::<$of>() - 1) / LINE_BYTES,
        )),*]
    };
}

/// A put must not wait for a line because a reader counted what it read, nor because another shard
/// took a record: whoever writes at any time writes to lines that nobody else touches.
#[test]
fn writers_readers_and_constants_share_no_cache_line() {
    // Shards lie side by side: each begins and ends with a line.
    assert_eq!(align_of::<Core>() % LINE_BYTES, 0);
    assert_eq!(size_of::<Core>() % LINE_BYTES, 0);

    let by_puts = lines!(Core: state.OwnLine<BriefMutex<State>>);
    let by_readers = lines!(Core:
        readers.OwnLine<Waiters>,
        reads.OwnLine<Reads>,
    );
    let never = lines!(Core:
        settings.Arc<Settings>,
        origin.Origin,
        range.HashKeyRange,
        parents.Parents,
        created_ms.u64,
        closing.OnceLock<Arc<Closing>>,
    );
    let log = lines!(Core: log.Log);
    let groups: [&[_]; 4] = [&by_puts, &by_readers, &never, &log];
    for (index, group) in groups.iter().enumerate() {
        for other in &groups[index + 1..] {
            for (name, lines) in *group {
                for (other_name, other_lines) in *other {
                    let apart =
                        lines.end() < other_lines.start() || other_lines.end() < lines.start();
                    assert!(apart, "{name} and {other_name} share a line");
                }
            }
        }
    }
}
