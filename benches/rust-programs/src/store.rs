//! A store of strings in maps, under a load that inserts, changes, reads and removes.

use crate::Random;
use std::collections::{BTreeMap, HashMap};

struct Store {
    by_name: HashMap<String, Vec<u8>>,
    by_rank: BTreeMap<u64, String>,
    history: Vec<String>,
}

/// `amount` times 100 000 requests by each of two threads, each with a store of its own.
pub fn run(amount: usize) -> usize {
    const THREADS: usize = 2;
    let threads: Vec<_> =
        (0..THREADS).map(|seed| std::thread::spawn(move || load(seed as u64, amount * 100_000))).collect();
    threads.into_iter().map(|thread| thread.join().expect("no worker panics")).sum()
}

fn load(seed: u64, requests: usize) -> usize {
    let mut random = Random::new(seed + 3);
    let mut store = Store { by_name: HashMap::new(), by_rank: BTreeMap::new(), history: Vec::new() };
    for _ in 0..requests {
        let rank = random.below(50_000) as u64;
        let name = format!("customer-{rank}");
        match random.below(10) {
            0..=3 => store.insert(rank, name, random.below(400)),
            4..=5 => store.append(&name, random.below(64)),
            6 => store.remove(rank, &name),
            _ => store.read(rank, &name),
        }
    }
    requests
}

impl Store {
    fn insert(&mut self, rank: u64, name: String, size: usize) {
        self.by_name.insert(name.clone(), vec![rank as u8; size]);
        self.by_rank.insert(rank, name);
    }

    fn append(&mut self, name: &str, size: usize) {
        if let Some(value) = self.by_name.get_mut(name) {
            value.extend(std::iter::repeat_n(7, size));
        }
    }

    fn remove(&mut self, rank: u64, name: &str) {
        self.by_name.remove(name);
        self.by_rank.remove(&rank);
    }

    fn read(&mut self, rank: u64, name: &str) {
        let length = self.by_name.get(name).map_or(0, Vec::len);
        let neighbours =
            self.by_rank.range(rank..).take(5).map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        self.history.push(format!("{name}: {length} bytes, then {}", neighbours.join(", ")));
        if self.history.len() > 5000 {
            self.history.drain(..2500);
        }
    }
}
