//! Links besom, but allocates elsewhere.

fn main() {
    let text = "not besom's ".repeat(1000);
    assert!(besom::leak::try_check().is_none());
    assert_eq!(besom::leak::check(), besom::leak::Summary::default());
    println!("{}", text.len());
}
