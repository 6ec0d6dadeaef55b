//! Which version of a function or a type a cell uses: after a cell that did not compile it is an earlier one, and the
//! cell that uses it is told so.

use crate::cell::code;
use std::collections::HashMap;

/// What cells have defined.
#[derive(Default)]
pub struct Versions {
    /// In which cell a name got the version that is in use.
    used: HashMap<String, usize>,
    /// The cell with the newest version of a name, which is not in use, and why.
    failed: HashMap<String, (usize, &'static str)>,
    /// Where a variable was given away.
    gone: HashMap<String, String>,
}

impl Versions {
    /// A cell's definitions are in use.
    pub fn took(&mut self, code: &str, cell: usize) {
        for name in code::defined_names(code) {
            self.failed.remove(&name);
            self.used.insert(name, cell);
        }
    }

    /// A cell's definitions are not in use; `why` follows "which".
    pub fn refused(&mut self, code: &str, cell: usize, why: &'static str) {
        self.failed.extend(code::defined_names(code).into_iter().map(|name| (name, (cell, why))));
    }

    /// A cell has given variables away, or lost all that there were.
    pub fn lost(&mut self, names: Vec<String>, code: &str, cell: usize, is_ended: bool) {
        for name in names {
            let is_in = |line: &&str| code::names(line).contains(&name);
            let told = match code.lines().find(is_in) {
                _ if is_ended => format!("{name} is gone since In[{cell}], with which all variables were lost"),
                Some(line) => format!("{name} was given away in In[{cell}]: {}", line.trim()),
                None => format!("{name} is gone since In[{cell}], with its type, which is another one since then"),
            };
            self.gone.insert(name, told);
        }
    }

    /// Everything is forgotten.
    pub fn clear(&mut self) {
        *self = Versions::default();
    }

    /// What a cell should know that uses names whose newest version is not in use.
    pub fn notes(&self, code: &str) -> Vec<String> {
        if self.failed.is_empty() {
            return Vec::new();
        }
        let anew = code::defined_names(code);
        let names = code::names(code).into_iter().filter(|name| !anew.contains(name));
        let told = names.filter_map(|name| {
            let ((failed, why), used) = (self.failed.get(&name)?, self.used.get(&name)?);
            Some(format!(
                "{name} is still the version of In[{used}]: your last change of it is in In[{failed}], which {why}."
            ))
        });
        told.collect()
    }

    /// Where a name should have come from that rustc does not find, or where it has gone.
    pub fn missing(&self, name: &str) -> Option<String> {
        if let Some(gone) = self.gone.get(name) {
            return Some(gone.clone());
        }
        let (cell, why) = self.failed.get(name).filter(|_| !self.used.contains_key(name))?;
        Some(format!("{name} stands in In[{cell}], which {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "did not compile";

    #[test]
    fn who_uses_an_earlier_version_is_told_until_the_new_one_compiles() {
        let mut versions = Versions::default();
        versions.took("fn mine(x: f64) -> f64 { x }\nfn other() {}", 7);
        assert_eq!(versions.notes("mine(1.0)"), Vec::<String>::new());
        versions.refused("fn mine(x: f64) -> f64 { x + 1 }", 8, WHY);
        let note = "mine is still the version of In[7]: your last change of it is in In[8], which did not compile.";
        assert_eq!(versions.notes("check::relu(mine).require()?; mine(2.0)"), [note]);
        assert_eq!(versions.notes("other()"), Vec::<String>::new());
        assert_eq!(versions.notes("// mine\nlet s = \"mine\";"), Vec::<String>::new(), "that is no use of it");
        assert_eq!(
            versions.notes("fn mine(x: f64) -> f64 { x + 1.0 }\nmine(1.0)"),
            Vec::<String>::new(),
            "it is new here"
        );
        versions.took("fn mine(x: f64) -> f64 { x + 1.0 }", 10);
        assert_eq!(versions.notes("mine(1.0)"), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_never_compiled_is_found_in_its_cell() {
        let mut versions = Versions::default();
        versions.refused("struct Mine { x: i64, y }", 3, WHY);
        assert_eq!(versions.notes("Mine { x: 1 }"), Vec::<String>::new(), "rustc will say so");
        assert_eq!(versions.missing("Mine").unwrap(), "Mine stands in In[3], which did not compile");
        versions.took("struct Mine { x: i64 }", 4);
        assert_eq!(versions.missing("Mine"), None);
    }

    #[test]
    fn a_variable_that_was_given_away_is_found_where_it_went() {
        let mut versions = Versions::default();
        versions.lost(vec!["s".into()], "// s\nlet n = 1;\nlet t = s;", 3, false);
        assert_eq!(versions.missing("s").unwrap(), "s was given away in In[3]: let t = s;");
        versions.lost(vec!["s".into(), "t".into()], "std::process::exit(0)", 5, true);
        assert!(versions.missing("t").unwrap().contains("gone since In[5]"));
        versions.lost(vec!["m".into()], "mine::f()", 6, false);
        assert!(versions.missing("m").unwrap().contains("with its type"));
    }
}
