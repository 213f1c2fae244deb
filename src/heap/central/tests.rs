use super::*;

#[test]
fn spans_give_little_while_objects_go_round() {
    let central = Central::new();
    let some_of = |wanted, bytes| {
        central.supplied.store(true, Relaxed);
        central.most_from_spans(wanted, bytes)
    };
    assert_eq!(central.most_from_spans(64, 64), 64, "none have come back yet");
    assert_eq!((some_of(64, 64), central.most_from_spans(64, 64)), (16, 64));
    assert_eq!([1, 2, 8, 16].map(|wanted| some_of(wanted, 1024)), [1, 1, 2, 4]);
    assert_eq!([1, 8, 16, 40, 64].map(|wanted| some_of(wanted, 24)), [1, 8, 8, 16, 16]);
}

/// What one asks for after another, as long as no other test of this process comes between.
#[test]
fn the_first_that_finds_none_on_the_way_gets_little() {
    crate::heap::ensure_started();
    const CLASS: usize = 36;
    let batch = batch_of(CLASS);
    let mut objects = [Addr(0); MAX_BATCH];
    let goes_round = || {
        let first = take(CLASS, &mut objects[..batch]);
        give(CLASS, &objects[..first]);
        let taken: std::vec::Vec<usize> = (0..3)
            .map(|_| {
                let n = take(CLASS, &mut objects[..batch]);
                give_to_spans(CLASS, &objects[..n]);
                n
            })
            .collect();
        trim_transfers(true);
        taken == [first, batch / SPARING, batch]
    };
    assert_eq!(batch, 16);
    assert!(core::iter::repeat_with(goes_round).take(1000).any(|seen| seen));
}

/// Of a fresh span two CPUs that ask in turns get no part of the same cache line.
#[test]
fn what_comes_from_spans_ends_with_cache_lines_where_there_are_many() {
    for class in (1..ALL_CLASSES).filter(|&class| (1..=256).contains(&object_bytes_of(class))) {
        let (bytes, batch) = (object_bytes_of(class), batch_of(class));
        // As stacks ask for.
        for wanted in (8..=batch).step_by(8) {
            let central = Central::new();
            central.supplied.store(true, Relaxed);
            let some = central.most_from_spans(wanted, bytes);
            assert!((some * bytes).is_multiple_of(64), "{some} of {wanted} objects of {bytes}");
        }
        assert!((batch * bytes).is_multiple_of(64), "{batch} of {bytes}");
    }
}

#[test]
fn batches_are_bounded_in_objects_and_bytes() {
    let of = |bytes: &[usize]| bytes.iter().map(|&bytes| batch_of_bytes(bytes)).collect::<std::vec::Vec<_>>();
    assert_eq!(of(&[8, 64, 80, 128, 256, 512, 4096]), [64, 64, 48, 32, 16, 16, 16]);
    assert_eq!(of(&[8192, 32768, 65536]), [8, 2, 2]);
}
