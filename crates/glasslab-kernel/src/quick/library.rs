//! The crates that the library is built from, and whether a further dependency would change them.
//!
//! A crate that the library uses too is built once for both. With more features, or in another version, it would be
//! another crate, and the library that uses it another library: cells would be compiled for that one, beside the one that
//! is loaded, and the first of them would end the process.

use crate::quick::tools::real_command;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;

/// A crate that is built for the cells: `name version`, and its features.
type Crate = (String, Vec<String>);

/// What is built with the manifest of a folder, as a tree: how deep each crate lies.
fn tree(folder: &Path) -> Option<Vec<(usize, Crate)>> {
    let words = ["tree", "-e", "normal,no-proc-macro", "--prefix", "depth", "--format", "|{p}|{f}"];
    let args: Vec<OsString> = words.iter().map(OsString::from).collect();
    let output = real_command("cargo", &args).current_dir(folder).output().ok()?;
    output.status.success().then(|| parsed(&String::from_utf8_lossy(&output.stdout)))
}

fn parsed(text: &str) -> Vec<(usize, Crate)> {
    let lines = text.lines().filter_map(|line| {
        let [depth, package, features] = line.split('|').collect::<Vec<_>>()[..] else { return None };
        // Behind the version stands where a crate lies, behind the features that its own crates stand further above.
        let name = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let features = features.trim_end_matches("(*)").trim();
        let features = features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned).collect();
        Some((depth.parse().ok()?, (name, features)))
    });
    lines.collect()
}

/// The library's crates, to be kept for later.
pub fn crates(folder: &Path) -> Value {
    let tree = tree(folder).unwrap_or_default();
    let begin = tree.iter().position(|(depth, (name, _))| *depth == 1 && name.starts_with("glasslab v"));
    let below = begin.map_or(&[][..], |begin| &tree[begin + 1..]);
    below.iter().take_while(|(depth, _)| *depth > 1).map(|(_, made)| serde_json::json!(made)).collect()
}

/// Why the library would be another one with a folder's new manifest, if it would; `before`: its crates as they are loaded.
pub fn change(folder: &Path, before: &Value) -> Option<String> {
    let before: Vec<Crate> = serde_json::from_value(before.clone()).ok()?;
    difference(&before, &tree(folder)?)
}

fn difference(before: &[Crate], tree: &[(usize, Crate)]) -> Option<String> {
    let (name, features) = before.iter().find(|made| tree.iter().all(|(_, other)| other != *made))?;
    let (name, version) = name.split_once(" v")?;
    let others: Vec<_> = tree.iter().filter(|(_, (other, _))| other.split(' ').next() == Some(name)).collect();
    let is_direct = others.iter().any(|(depth, _)| *depth == 1);
    let same = others.iter().find(|(_, (other, _))| other.ends_with(&format!(" v{version}")));
    let now = same.map_or(&[][..], |(_, (_, features))| features);
    let more: Vec<&str> = now.iter().filter(|feature| !features.contains(feature)).map(String::as_str).collect();
    let asked = match same {
        Some(_) => format!("with {}", more.join(", ")),
        None => "in another version".to_owned(),
    };
    let way_out = match features.iter().any(|feature| feature == "default") {
        _ if !is_direct => {
            "A crate below the new one asks for it: leave out features of the new one, or take another".to_owned()
        }
        true => format!("Take it as it is there: :dep {name} = \"{version}\""),
        false => {
            format!("Take it as it is there: :dep {name} = {{ version = \"{version}\", default-features = false }}")
        }
    };
    Some(format!(
        "{name} can't be added {asked}: the lab's own library uses it too, and would have to be built anew, with which all \
         variables would be gone. {way_out}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|ctx v1.0.0 (/a b)|\n1|glasslab v0.1.0 (/c)|\n2|serde_json v1.0.151|default,std\n3|itoa v1.0.18|\n\
                        1|serde_json v1.0.151|default,std (*)\n";

    fn made(name: &str, features: &[&str]) -> Crate {
        (name.to_owned(), features.iter().map(|feature| feature.to_string()).collect())
    }

    #[test]
    fn what_leaves_the_librarys_crates_as_they_are_may_be_added() {
        let before = [made("serde_json v1.0.151", &["default", "std"]), made("itoa v1.0.18", &[])];
        assert_eq!(difference(&before, &parsed(TREE)), None);
        assert_eq!(
            difference(&before, &parsed(&format!("{TREE}1|itoa v0.4.0|std\n"))),
            None,
            "another version beside it"
        );
    }

    #[test]
    fn what_would_build_the_library_anew_is_refused_with_the_way_out() {
        let before = [made("serde_json v1.0.151", &["default", "std"]), made("itoa v1.0.18", &[])];
        let told = difference(&before, &parsed(&TREE.replace("default,std", "default,preserve_order,std"))).unwrap();
        assert!(told.starts_with("serde_json can't be added with preserve_order: "), "{told}");
        assert!(told.contains(":dep serde_json = \"1.0.151\""), "{told}");
        let told = difference(&before, &parsed(&TREE.replace("1.0.151", "1.0.99"))).unwrap();
        assert!(told.starts_with("serde_json can't be added in another version: "), "{told}");
        let told = difference(&before, &parsed(&TREE.replace("itoa v1.0.18|", "itoa v1.0.18|no-panic"))).unwrap();
        assert!(told.contains("A crate below the new one"), "{told}");
    }
}
