//! Puts a report into a document, between two marks, with its pictures beside it.

use std::fs::{copy, create_dir_all, read_dir, read_to_string, remove_file, write};
use std::path::Path;

const BEGIN: &str = "<!-- report: begin; written by `make bench-publish`, do not edit -->";
const END: &str = "<!-- report: end -->";

/// Replaces what stands between the marks of `document` by the report in `folder`, and the folder named after the
/// document by its pictures.
pub fn publish(document: &Path, folder: &Path, pictures: &[String]) -> Result<(), String> {
    let failed = |file: &Path, error: std::io::Error| format!("{}: {error}", file.display());
    let old = read_to_string(document).map_err(|error| failed(document, error))?;
    let file = folder.join("report.md");
    let report = read_to_string(&file).map_err(|error| failed(&file, error))?;
    let beside = document.with_extension("");
    let name = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = replace(&old, &embed(&report, &name))
        .ok_or_else(|| format!("{}: the marks `{BEGIN}` and `{END}` are not there", document.display()))?;
    create_dir_all(&beside).map_err(|error| failed(&beside, error))?;
    // Pictures of an older report with other workloads would stay for good.
    for entry in read_dir(&beside).map_err(|error| failed(&beside, error))?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "svg") {
            remove_file(entry.path()).map_err(|error| failed(&entry.path(), error))?;
        }
    }
    for picture in pictures {
        copy(folder.join(picture), beside.join(picture))
            .map_err(|error| failed(&beside.join(picture), error))?;
    }
    write(document, new).map_err(|error| failed(document, error))
}

fn replace(document: &str, report: &str) -> Option<String> {
    let (head, rest) = document.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", report.trim()))
}

/// The report as a part of a document: headings one level down, pictures from the folder beside it.
fn embed(report: &str, folder: &str) -> String {
    let line = |line: &str| match line.strip_prefix("![").and_then(|rest| rest.split_once("](")) {
        Some((name, file)) => format!("![{name}]({folder}/{file}\n"),
        None if line.starts_with('#') => format!("#{line}\n"),
        None => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_takes_the_place_of_an_older_one() {
        let document = format!("# Doc\n\n{BEGIN}\nold\n{END}\n\nend\n");
        let report = embed("# Title\n\n![a.svg](a.svg)\n| # |\n", "doc");
        assert_eq!(report, "## Title\n\n![a.svg](doc/a.svg)\n| # |\n");
        let new = replace(&document, &report).unwrap();
        assert_eq!(new, format!("# Doc\n\n{BEGIN}\n\n{}\n\n{END}\n\nend\n", report.trim()));
        assert_eq!(replace(&new, &report).unwrap(), new);
        assert_eq!(replace("# Doc\n", "x"), None);
    }
}
