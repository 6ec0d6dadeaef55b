//! What a page is made of beside its models: a template, a style, and the scripts, which become one.
//!
//! The scripts are modules, so that they can be tested one by one; a page that is opened as a file can't load modules. So each
//! stands in this list behind those that it imports from, its imports are taken out, and the rest is one module: a top-level
//! name is there once in all of them, and an import or export is one line.

/// The files of the folder `page`, by their names.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../page/", $name)))),*]
    };
}

const MODULES: &[(&str, &str)] = files![
    "engine/tensor.js",
    "engine/operations.js",
    "engine/arithmetic.js",
    "engine/activation.js",
    "engine/norm.js",
    "engine/rotary.js",
    "engine/attention.js",
    "engine/numbers.js",
    "engine/characters.js",
    "engine/merging.js",
    "engine/words.js",
    "engine/subwords.js",
    "engine/tokenizer.js",
    "engine/ngrams.js",
    "engine/transformer.js",
    "engine/mlp.js",
    "engine/model.js",
    "engine/cuts.js",
    "engine/trace.js",
    "engine/surprise.js",
    "engine/backward.js",
    "engine/describe.js",
    "engine/by_hand.js",
    "engine/lens.js",
    "engine/random.js",
    "engine/sampling.js",
    "engine/write.js",
    "parts/dom.js",
    "parts/words.js",
    "parts/about.js",
    "parts/address.js",
    "parts/bars.js",
    "parts/colours.js",
    "parts/controls.js",
    "parts/pieces.js",
    "parts/heads.js",
    "parts/machine.js",
    "parts/pace.js",
    "parts/story.js",
    "parts/cut.js",
    "parts/dice.js",
    "parts/difference.js",
    "parts/explorer.js",
    "parts/film.js",
    "parts/lens_table.js",
    "parts/look.js",
    "parts/theme.js",
    "parts/why.js",
    "parts/write.js",
    "parts/number_grid.js",
    "parts/stations.js",
    "parts/walk.js",
    "parts/main.js",
];

const TEMPLATE: &str = include_str!("../../../page/page.html");
pub(super) const STYLE: &str =
    concat!(include_str!("../../../page/page.css"), include_str!("../../../page/explorer.css"));

/// All modules as one.
pub(super) fn script() -> String {
    let mut script = String::new();
    for line in MODULES.iter().flat_map(|(_, source)| source.lines()) {
        if !line.starts_with("import ") {
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
    }
    script
}

/// The template with something in the place of each `{{name}}`; what is put in is not looked through again.
pub(super) fn filled(parts: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, behind)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        page.push_str(parts.iter().find(|(known, _)| *known == name).map_or("", |(_, part)| part));
        rest = behind;
    }
    page + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};
    use std::path::Path;

    #[test]
    fn every_module_is_in_the_list_behind_those_that_it_imports_from() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let mut there = BTreeSet::new();
        for part in ["engine", "parts"] {
            for entry in std::fs::read_dir(folder.join(part)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                there.insert(format!("{part}/{name}"));
            }
        }
        let listed: Vec<String> = MODULES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), there);
        for (place, (name, source)) in MODULES.iter().enumerate() {
            for line in source.lines().filter(|line| line.starts_with("import ")) {
                let from =
                    line.split('"').nth(1).unwrap_or_else(|| panic!("{name}: an import is one line, got {line}"));
                let from = from.rsplit('/').next().unwrap();
                assert!(
                    MODULES[..place].iter().any(|(other, _)| other.rsplit('/').next() == Some(from)),
                    "{name} imports {from}, which stands behind it"
                );
            }
        }
    }

    #[test]
    fn a_name_is_there_once_in_all_modules() {
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (module, source) in MODULES {
            for line in source.lines() {
                let line = line.strip_prefix("export ").unwrap_or(line);
                let word = ["async function ", "function* ", "function ", "class ", "const ", "let "]
                    .iter()
                    .find_map(|word| line.strip_prefix(word));
                let Some(name) = word.and_then(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
                else {
                    continue;
                };
                if let Some(other) = names.insert(name, module).filter(|_| !name.is_empty()) {
                    panic!("{name} is in {other} and in {module}: one page has them all");
                }
            }
        }
        assert!(names.len() > 20);
        assert!(!script().contains("\nimport ") && !script().contains("\nexport "));
    }

    #[test]
    fn what_is_put_in_is_not_looked_through() {
        let page = filled(&[("title", "{{data}} & {{"), ("data", "the data")]);
        assert!(page.contains("{{data}} & {{"), "{page}");
    }
}
