//! The folders of `src` form layers: each uses only those before it.

mod common;

use common::root;
use std::path::{Path, PathBuf};

/// From the ground up. A layer may name those left of it. `lib.rs` shows what outsiders may use, and the
/// command line stands on top: neither is in a layer.
const LAYERS: [&str; 9] = ["base", "sys", "sync", "config", "stats", "heap", "leak", "report", "abi"];

fn height(layer: &str) -> Option<usize> {
    // The check writes its report, and the report needs the check's stacks and suppressions: one layer.
    let layer = if layer == "report" { "leak" } else { layer };
    LAYERS.iter().position(|&known| known == layer)
}

/// The layer that a file belongs to: the first part of its path below `src`.
fn layer_of(file: &Path) -> String {
    let first = file.strip_prefix(root().join("src")).unwrap().iter().next().unwrap();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}

/// Source text without comments and without its tests, which may use what they like.
fn code_of(text: &str) -> String {
    let production = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    production
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// The modules named behind `crate::`, also as a group in braces and in a macro's `$crate::`.
fn named_modules(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_items(group).iter().map(|item| word(item))),
            None => found.push(word(rest)),
        }
    }
    found
}

/// The items of a `{a, b::{c, d}, e}` group whose opening brace is already gone.
fn top_level_items(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().unwrap().push(c);
            }
        }
    }
    items.iter().map(|item| item.trim().to_owned()).collect()
}

#[test]
fn layers_name_only_layers_below() {
    let mut wrong = Vec::new();
    for file in sources(&root().join("src")) {
        let layer = layer_of(&file);
        let Some(own) = height(&layer) else { continue };
        let code = code_of(&std::fs::read_to_string(&file).unwrap());
        for module in named_modules(&code) {
            if height(&module).is_some_and(|other| other > own) {
                wrong.push(format!("{} names crate::{module}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every folder and file below `src` is in a layer, so that none escapes the test above.
#[test]
fn every_folder_is_in_a_layer() {
    for file in sources(&root().join("src")) {
        let layer = layer_of(&file);
        assert!(
            height(&layer).is_some() || ["lib", "bin"].contains(&&*layer),
            "{} is in no layer",
            file.display()
        );
    }
}

/// The leak checker asks the heap; the heap does not know it, not even in another spelling of the path.
#[test]
fn the_heap_never_names_the_leak_checker() {
    for file in sources(&root().join("src/heap")) {
        let code = code_of(&std::fs::read_to_string(&file).unwrap());
        assert!(!code.contains("leak::") && !code.contains("feature = \"leak\""), "{}", file.display());
    }
}

#[test]
fn modules_are_found_in_every_spelling() {
    let code = "use crate::{a::{b, c}, d};\nuse crate::e::f;\n fn x() { $crate::g::h!(); crate::i::j() }";
    assert_eq!(named_modules(code), ["a", "d", "e", "g", "i"]);
    assert_eq!(named_modules(&code_of("// crate::a::b\nlet x = crate::c;")), ["c"]);
}
