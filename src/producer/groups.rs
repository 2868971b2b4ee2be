//! The entries of a batch, by the shards that take them.

use crate::producer::answers::small;

/// Groups the indices of entries by their shards, which are given in the same order: calls `each` with a
/// shard and its indices, in the order of the shards. In each group the indices keep their order.
pub(super) fn group(indices: &[u32], shards: &[u32], each: impl FnMut(usize, &[u32])) {
    // Of few shards it counts each one's entries, which costs a tenth of comparing them.
    const SHARDS_MAX: usize = 256;
    // Copied: compared by reference they are compared one by one.
    let last = shards.iter().copied().max().map_or(0, |last| last as usize);
    if last < SHARDS_MAX {
        count_and_group(indices, shards, &mut [0; SHARDS_MAX][..=last], each);
    } else {
        sort_and_group(indices, shards, each);
    }
}

/// With a zero for each shard.
fn count_and_group(
    indices: &[u32],
    shards: &[u32],
    counts: &mut [u32],
    mut each: impl FnMut(usize, &[u32]),
) {
    for shard in shards {
        counts[*shard as usize] += 1;
    }
    // From now on, where the next index of each shard goes; at last, where its group ends.
    let mut end = 0;
    for count in &mut *counts {
        end += *count;
        *count = end - *count;
    }
    let nexts = counts;
    let mut grouped = vec![0; indices.len()];
    for (index, shard) in indices.iter().zip(shards) {
        let next = &mut nexts[*shard as usize];
        grouped[*next as usize] = *index;
        *next += 1;
    }
    let mut from = 0;
    for (shard, end) in nexts.iter().enumerate() {
        let group = &grouped[from..*end as usize];
        if !group.is_empty() {
            each(shard, group);
        }
        from = *end as usize;
    }
}

fn sort_and_group(indices: &[u32], shards: &[u32], mut each: impl FnMut(usize, &[u32])) {
    let mut sorted: Vec<_> = shards.iter().zip(0..small(indices.len())).collect();
    sorted.sort_unstable();
    for group in sorted.chunk_by(|(a, _), (b, _)| a == b) {
        let indices: Vec<_> = group
            .iter()
            .map(|(_, nth)| indices[*nth as usize])
            .collect();
        each(*group[0].0 as usize, &indices);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_grouped_by_shards_and_keep_their_order_within_each() {
        for (first, shards) in [0, 1, 255, 256, 1_000]
            .into_iter()
            .flat_map(|first| [1, 2, 4, 255, 256, 257, 10_000].map(|shards| (first, shards)))
        {
            for len in [0, 1, 1_000] {
                let indices: Vec<_> = (0..len).map(|nth| 3 * nth).collect();
                let shards: Vec<_> = (0..len).map(|nth| first + nth * 7919 % shards).collect();
                let mut expected: Vec<_> = shards.iter().zip(&indices).collect();
                expected.sort();
                let mut grouped = Vec::new();
                group(&indices, &shards, |shard, group| {
                    assert!(!group.is_empty());
                    assert!(grouped.last().is_none_or(|(before, _)| *before < shard));
                    grouped.extend(group.iter().map(|index| (shard, *index)));
                });
                let expected = expected
                    .iter()
                    .map(|(shard, index)| (**shard as usize, **index));
                assert!(expected.eq(grouped), "{len} from {first} on");
            }
        }
    }
}
