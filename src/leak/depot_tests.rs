use super::*;
use proptest::prelude::*;
use std::{collections::HashMap, sync::Arc, thread, vec, vec::Vec};

#[test]
fn links_keep_hash_and_next() {
    let link = Link::new(0xdead_beef, StackId(0x1234_5678));
    assert_eq!((link.hash(), link.next()), (0xdead_beef, StackId(0x1234_5678)));
}

#[test]
fn no_stack_has_no_id_and_unknown_ids_no_frames() {
    let depot = Depot::new();
    assert_eq!(depot.frames(StackId(77)), &[] as &[usize]);
    assert_eq!(depot.insert(&[], hash(&[])), StackId::NONE);
    assert_eq!(depot.find(&[1], hash(&[1])), StackId::NONE);
    assert_eq!(depot.frames(StackId::NONE), &[] as &[usize]);
    assert_eq!(depot.frames(StackId(u32::MAX)), &[] as &[usize]);
    assert_eq!(depot.statistics().dropped, 0);
}

#[test]
fn a_stack_too_long_is_cut() {
    let depot = Depot::new();
    let long: Vec<usize> = (1..=MAX_FRAMES + 5).collect();
    let id = depot.insert(&long, 7);
    assert_eq!(depot.frames(id), &long[..MAX_FRAMES]);
    assert_eq!(depot.find(&long, 7), id);
}

/// Equal hashes share a bucket and are told apart by their frames.
#[test]
fn colliding_stacks_stay_apart() {
    let depot = Depot::new();
    let ids: Vec<_> = (0..100).map(|i| depot.insert(&[i, i + 1], 42)).collect();
    for (i, &id) in ids.iter().enumerate() {
        assert_eq!(depot.frames(id), &[i, i + 1]);
        assert_eq!(depot.insert(&[i, i + 1], 42), id);
    }
    assert_eq!(depot.statistics().stacks, 100);
}

/// Nodes never cross from chunk to chunk, and the storage grows beyond one.
#[test]
fn storage_grows_by_chunks() {
    let depot = Depot::new();
    let stack = |i: usize| -> Vec<usize> { (0..300).map(|frame| i * 1000 + frame + 1).collect() };
    let count = 3 * CHUNK_WORDS / 302;
    let ids: Vec<_> = (0..count).map(|i| depot.insert(&stack(i), hash(&stack(i)))).collect();
    for (i, &id) in ids.iter().enumerate() {
        assert_eq!(depot.frames(id), stack(i));
    }
    let statistics = depot.statistics();
    assert_eq!(statistics.stacks, count);
    assert!(statistics.bytes >= count * 302 * WORD_BYTES);
    assert!(statistics.mapped_bytes >= statistics.bytes);
    let mut mapped = 0;
    depot.for_each_mapping(&mut |_, bytes| mapped += bytes);
    assert_eq!(mapped, statistics.mapped_bytes);
}

#[test]
fn when_ids_run_out_stacks_are_dropped_and_counted() {
    let depot = Depot::new();
    depot.next.store((CHUNKS << CHUNK_SHIFT) - node_words(3), Relaxed);
    let last = depot.insert(&[1, 2, 3], 1);
    assert_eq!(depot.frames(last), &[1, 2, 3]);
    assert_eq!(depot.insert(&[4], 2), StackId::NONE);
    assert_eq!(depot.insert(&[1, 2, 3], 1), last);
    assert_eq!(depot.statistics().dropped, 1);
}

proptest! {
    /// The depot is a map from stacks to ids and back: equal stacks, equal ids; different, different.
    #[test]
    fn behaves_as_a_map(stacks in prop::collection::vec(prop::collection::vec(1usize..5, 1..6), 1..80), buckets in 1u32..4) {
        let depot = Depot::new();
        let mut model = HashMap::new();
        for stack in &stacks {
            // Few hashes force chains.
            let hash = hash(stack) % buckets;
            let known = model.get(stack).copied();
            prop_assert_eq!(depot.find(stack, hash), known.unwrap_or(StackId::NONE));
            let id = depot.insert(stack, hash);
            prop_assert_ne!(id, StackId::NONE);
            prop_assert_eq!(*model.entry(stack.clone()).or_insert(id), id);
        }
        let mut ids: Vec<_> = model.values().copied().collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), model.len());
        prop_assert_eq!(depot.statistics().stacks, model.len());
        for (stack, id) in model {
            prop_assert_eq!(depot.frames(id), stack);
        }
    }

    #[test]
    fn the_hash_of_a_walk_is_that_of_its_frames(frames in prop::collection::vec(any::<usize>(), 0..40)) {
        let mut hasher = Hasher::new();
        frames.iter().for_each(|&frame| hasher = hasher.add(frame));
        prop_assert_eq!(hasher.finish(), hash(&frames));
    }
}

/// Threads that insert the same stacks at the same time agree on every id.
#[test]
fn racing_threads_agree() {
    const STACKS: usize = 20_000;
    let depot = Arc::new(Depot::new());
    let stack = |i: usize| vec![i * 8 + 1, i / 3, 7];
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let depot = depot.clone();
            thread::spawn(move || {
                // Half of the threads walk backwards; a coarse hash makes chains.
                let order = (0..STACKS).map(|i| if t % 2 == 0 { i } else { STACKS - 1 - i });
                let mut ids = vec![StackId::NONE; STACKS];
                order.for_each(|i| ids[i] = depot.insert(&stack(i), hash(&stack(i)) % 5000));
                ids
            })
        })
        .collect();
    let ids: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    for (i, &id) in ids[0].iter().enumerate() {
        assert_eq!(depot.frames(id), stack(i));
    }
    assert_eq!(depot.statistics().stacks, STACKS);
    assert_eq!(depot.statistics().dropped, 0);
}
