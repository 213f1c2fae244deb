//! Several threads with a model each. They hand objects to each other, so most are freed by another thread
//! than the one that allocated them; the heap is checked when all are done.

use super::model::{self, Model, Object, Op, any_op};
use crate::heap::check;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::Mutex;
use std::{thread, vec::Vec};

const THREADS: usize = 6;
const STEPS: usize = 4000;
/// Objects on their way from one thread to another at most.
const MOST_IN_TRANSIT: usize = 200;

/// Operations from a seed, so that a failure can be run again.
struct Ops(TestRunner);

impl Ops {
    fn new(seed: u8) -> Self {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    fn next(&mut self) -> Op {
        any_op().new_tree(&mut self.0).unwrap().current()
    }
}

/// Objects that belong to whoever comes next.
struct Transit(Mutex<Vec<Object>>);

impl Transit {
    fn exchange(&self, model: &mut Model, victim: usize) {
        let mut objects = self.0.lock().unwrap();
        if objects.len() < MOST_IN_TRANSIT {
            objects.extend(model.take(victim));
        }
        let n = objects.len().max(1);
        let other = (!objects.is_empty()).then(|| objects.swap_remove(victim % n));
        drop(objects);
        match other {
            Some(object) if victim.is_multiple_of(3) => object.free(false),
            Some(object) => model.adopt(object),
            None => {}
        }
    }
}

fn work(seed: u8, transit: &Transit) {
    let (mut model, mut ops) = (Model::new(), Ops::new(seed));
    for step in 0..STEPS {
        let op = ops.next();
        // Now and then is enough for giving back all memory, which stops the other threads' CPUs.
        if !matches!(op, Op::Release) || step.is_multiple_of(8) {
            assert!(model.step(op), "out of memory in {op:?}");
        }
        if let Op::Free { victim, .. } = op {
            transit.exchange(&mut model, victim);
        }
        if step.is_multiple_of(64) {
            model.check_neighbours();
            model.check_contents();
        }
    }
    model.free_all();
}

/// Runs the threads, then checks what they leave.
pub(super) fn run() {
    let transit = Transit(Mutex::new(Vec::new()));
    for round in 0..2 {
        thread::scope(|scope| {
            for i in 0..THREADS {
                let transit = &transit;
                scope.spawn(move || work((round * THREADS + i) as u8, transit));
            }
        });
        transit.0.lock().unwrap().drain(..).for_each(|object| object.free(true));
        check::check();
        model::check_nothing_left();
    }
}
