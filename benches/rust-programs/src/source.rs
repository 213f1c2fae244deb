//! Parses a large Rust source into syn's tree, clones and prints it.

use quote::ToTokens;
use std::fmt::Write;
use std::hint::black_box;

/// A generated source of about 10 000 lines, `amount` times; operations are its functions.
pub fn run(amount: usize) -> usize {
    const FUNCTIONS: usize = 700;
    let text = source(FUNCTIONS);
    for _ in 0..amount {
        let file: syn::File = syn::parse_file(&text).expect("the source is well formed");
        let copy = file.clone();
        black_box(copy.to_token_stream().to_string());
        drop(black_box(file));
    }
    amount * FUNCTIONS
}

fn source(functions: usize) -> String {
    let mut text = String::new();
    for id in 0..functions {
        let _ = writeln!(
            text,
            "/// Number {id}.
            #[derive(Debug, Clone)]
            pub struct Thing{id}<T: Clone> {{ pub name: String, items: Vec<Option<T>>, next: Option<Box<Thing{id}<T>>> }}
            impl<T: Clone + Default> Thing{id}<T> {{
                pub fn compute(&mut self, input: &[u32], factor: usize) -> Result<usize, String> {{
                    let mut total = {id} * factor + 3;
                    for (index, value) in input.iter().enumerate() {{
                        if *value > 10 && index % 2 == 0 {{ total += *value as usize * index; }}
                        else {{ match value {{ 0 => total += 1, 1..=5 => {{ total *= 2; }} _ => continue }} }}
                    }}
                    self.items.push(Some(T::default()));
                    let text = format!(\"{{}}-{{}}\", self.name, total);
                    if text.len() > 100 {{ return Err(text); }}
                    Ok(self.items.iter().filter(|item| item.is_some()).count() + total)
                }}
            }}"
        );
    }
    text
}
