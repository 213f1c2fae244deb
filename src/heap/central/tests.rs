use super::*;

#[test]
fn spans_give_little_while_objects_go_round() {
    let central = Central::new();
    assert_eq!(central.most_from_spans(64), 64, "none have come back yet");
    central.supplied.store(true, Relaxed);
    assert_eq!((central.most_from_spans(64), central.most_from_spans(64)), (16, 64));
    central.supplied.store(true, Relaxed);
    assert_eq!(central.most_from_spans(1), 1, "what is missed is always asked for");
}

#[test]
fn batches_are_bounded_in_objects_and_bytes() {
    let of = |bytes: &[usize]| bytes.iter().map(|&bytes| batch_of_bytes(bytes)).collect::<std::vec::Vec<_>>();
    assert_eq!(of(&[8, 64, 80, 128, 256, 512, 4096]), [64, 64, 51, 32, 16, 16, 16]);
    assert_eq!(of(&[8192, 32768, 65536]), [8, 2, 2]);
}
