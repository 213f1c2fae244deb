//! Parses and drops a large JSON tree.

use crate::Random;
use serde_json::Value;
use std::fmt::Write;
use std::hint::black_box;

/// A document of about 4 MB, parsed `amount` times, walked and dropped; operations are the tree's nodes.
pub fn run(amount: usize) -> usize {
    let text = document(20_000);
    let mut nodes = 0;
    for _ in 0..amount {
        let mut tree: Value = serde_json::from_str(&text).expect("the document is well formed");
        nodes += count(&tree);
        // A change in every record, as a program that edits a document does, and the way back to text.
        for record in tree.as_array_mut().into_iter().flatten() {
            record["seen"] = Value::String("yes".repeat(3));
        }
        black_box(serde_json::to_string(&tree).expect("a tree can be written"));
    }
    nodes
}

fn document(records: usize) -> String {
    let mut random = Random::new(1);
    let mut text = String::from("[");
    for id in 0..records {
        let comma = if id == 0 { "" } else { "," };
        let name = "x".repeat(3 + random.below(20));
        let _ = write!(
            text,
            r#"{comma}{{"id":{id},"name":"{name}","tags":["a{0}","b{0}","long tag number {0}"],
            "position":{{"x":{1}.5,"y":{0}}},"scores":[{0},{1},{0},{1},{0}],"active":true,"parent":null,
            "notes":{{"first":"{name} {name}","second":{{"deep":["{0}"]}}}}}}"#,
            random.below(1000),
            random.below(90),
        );
    }
    text.push(']');
    text
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}
