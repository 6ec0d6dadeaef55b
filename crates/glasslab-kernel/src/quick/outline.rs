//! What rust-analyzer reads of the library, of the crates below it and of Rust's standard library: their sources without
//! the bodies of functions, without tests, and without what a cell has no use for.
//!
//! For the type of a variable and for completions only signatures count. The standard library's sources are 35 MB, nearly half
//! of them processors' instructions (`std::arch`), and the library's and its crates' 4 MB; the outline of all is 10 MB, most of
//! it documentation, which stays for who asks what a name means.

use anyhow::{Context, Result, bail};
use ra_ap_syntax::ast::{self, HasAttrs, HasName, HasVisibility};
use ra_ap_syntax::{AstNode, Edition, NodeOrToken, SourceFile, SyntaxKind, SyntaxNode, TextRange, WalkEvent};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The macros that make the methods of whole numbers, which are expanded only for who asks about them: theirs keep their
/// documentation. All other macros would repeat it dozens of times, for each kernel that starts.
const DOCUMENTED: [&str; 2] = ["int_impl", "uint_impl"];
/// What stands for a body that was cut.
const NO_BODY: &str = "{ loop {} }";
/// The folder of all outlines, in the working folder.
const FOLDER: &str = "outline";
/// The crates of the standard library that a cell can name.
const STD: [&str; 3] = ["core", "alloc", "std"];
/// Files outside of those crates that they take in as modules, and that are left empty: processors' instructions.
const EMPTY: [&str; 3] = [
    "stdarch/crates/core_arch/src/mod.rs",
    "portable-simd/crates/core_simd/src/mod.rs",
    "portable-simd/crates/std_float/src/lib.rs",
];

/// Makes the outline of the standard library in use, in a folder that rust-analyzer is told of as `RUST_SRC_PATH`.
pub fn of_std(work: &Path) -> Result<()> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("could not run rustc")?;
    if !output.status.success() {
        bail!("rustc does not say where it lies: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let library = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib/src/rust/library");
    if !library.join("core").exists() {
        bail!("the sources of Rust's standard library are not at {}; run scripts/lab setup", library.display());
    }
    let std = std_folder(work);
    for name in STD {
        copy(&library.join(name).join("src"), &std.join(name).join("src"))?;
    }
    for file in EMPTY.map(|file| std.join(file)) {
        fs::create_dir_all(file.with_file_name(""))?;
        fs::write(&file, "")?;
    }
    Ok(())
}

/// Where the outline of the standard library is.
pub fn std_folder(work: &Path) -> PathBuf {
    work.join(FOLDER).join("std")
}

/// The folder of a crate's outline, which is made, in a person's own folder, if it is not there. `name` tells crate and version.
pub fn of_crate(work: &Path, own: &Path, name: &str, source: &Path) -> Result<PathBuf> {
    let prepared = work.join(FOLDER).join(name);
    if prepared.exists() {
        return Ok(prepared);
    }
    let folder = own.join(FOLDER).join(name);
    if !folder.exists() {
        // In a race of two kernels the first one's stays.
        let part = folder.with_extension(format!("{}.part", std::process::id()));
        copy(source, &part)?;
        if fs::rename(&part, &folder).is_err() {
            fs::remove_dir_all(&part)?;
        }
    }
    Ok(folder)
}

/// Forgets all outlines.
pub fn forget(work: &Path) {
    let _ = fs::remove_dir_all(work.join(FOLDER));
}

/// Writes the outline of every Rust file of one folder into another.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))? {
        let source = entry?.path();
        let Some(name) = source.file_name() else { continue };
        if source.is_dir() {
            if !["tests", "benches", "examples", "target"].iter().any(|other| name == *other) {
                copy(&source, &to.join(name))?;
            }
        } else if source.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&source).with_context(|| format!("could not read {}", source.display()))?;
            fs::write(to.join(name), outline(&text)).with_context(|| format!("could not write {}", to.display()))?;
        }
    }
    Ok(())
}

/// A source without tests, without functions that a cell can't call by what stands there, and without the bodies of the
/// others, also of those that a macro makes. Whole is left what a type may depend on.
pub fn outline(text: &str) -> String {
    let file = SourceFile::parse(text, Edition::Edition2024).tree();
    let mut cuts: Vec<(TextRange, &str)> = Vec::new();
    let mut nodes = file.syntax().preorder();
    while let Some(event) = nodes.next() {
        let WalkEvent::Enter(node) = event else { continue };
        if let Some(cut) = cut(&node) {
            cuts.push(cut);
            nodes.skip_subtree();
        } else if let Some(rules) = ast::MacroRules::cast(node) {
            cuts_in_macro(&rules, &mut cuts);
            nodes.skip_subtree();
        }
    }
    let mut left = String::new();
    let mut place = 0;
    for (range, instead) in cuts {
        left.push_str(&text[place..usize::from(range.start())]);
        left.push_str(instead);
        place = range.end().into();
    }
    left + &text[place..]
}

/// What is cut at a node, and what stands there instead.
fn cut(node: &SyntaxNode) -> Option<(TextRange, &'static str)> {
    let is_test = ast::AnyHasAttrs::cast(node.clone())
        .is_some_and(|item| item.attrs().any(|attribute| attribute.syntax().text() == "#[cfg(test)]"));
    if is_test && ast::Item::can_cast(node.kind()) {
        return Some((node.text_range(), ""));
    }
    if let Some(list) = ast::ExternItemList::cast(node.clone()) {
        return Some((list.syntax().text_range(), "{}"));
    }
    if let Some(function) = ast::Fn::cast(node.clone())
        && !is_needed(&function)
        && is_out_of_sight(&function)
    {
        return Some((node.text_range(), ""));
    }
    let body = ast::BlockExpr::cast(node.clone())?;
    let function = ast::Fn::cast(node.parent()?)?;
    (!is_needed(&function)).then(|| (body.syntax().text_range(), NO_BODY))
}

/// Whether a type may depend on a function's body: of one that is `const`, or whose return type is only named by its traits.
fn is_needed(function: &ast::Fn) -> bool {
    let names_traits = function
        .ret_type()
        .is_some_and(|result| result.syntax().descendants().any(|part| ast::ImplTraitType::can_cast(part.kind())));
    function.const_token().is_some() || names_traits
}

/// Whether no cell can call a function by what is written here: it is private, or its trait tells its signature already.
fn is_out_of_sight(function: &ast::Fn) -> bool {
    let Some(place) = function.syntax().parent() else { return false };
    if !matches!(place.kind(), SyntaxKind::ASSOC_ITEM_LIST | SyntaxKind::ITEM_LIST | SyntaxKind::SOURCE_FILE) {
        return false;
    }
    match place.parent() {
        Some(owner) if ast::Trait::can_cast(owner.kind()) => false,
        Some(owner) if ast::Impl::cast(owner.clone()).is_some_and(|block| block.trait_().is_some()) => true,
        _ => function.visibility().is_none_or(|seen| seen.syntax().text() != "pub"),
    }
}

/// The cuts in what a macro's rules make: `(pattern) => { … }`.
fn cuts_in_macro(rules: &ast::MacroRules, cuts: &mut Vec<(TextRange, &'static str)>) {
    let keep_docs = rules.name().is_some_and(|name| DOCUMENTED.iter().any(|other| name.text() == *other));
    let mut is_made = false;
    for part in rules.token_tree().iter().flat_map(|tree| tree.syntax().children_with_tokens()) {
        match part {
            NodeOrToken::Token(token) if token.kind() == SyntaxKind::R_ANGLE => is_made = true,
            NodeOrToken::Node(tree) if is_made => {
                cuts_in_tokens(&tree, keep_docs, cuts);
                is_made = false;
            }
            _ => {}
        }
    }
}

/// The cuts in tokens that become Rust only where the macro is called: `fn … { … }` loses its body, and attributes that
/// tell nothing about a type, documentation among them, are left out. What is given to another macro stays as it is.
fn cuts_in_tokens(tree: &SyntaxNode, keep_docs: bool, cuts: &mut Vec<(TextRange, &'static str)>) {
    let (mut is_function, mut is_call) = (false, false);
    let mut hash: Option<TextRange> = None;
    for part in tree.children_with_tokens() {
        match part {
            NodeOrToken::Token(token) => match token.kind() {
                SyntaxKind::FN_KW => is_function = true,
                SyntaxKind::BANG => is_call = true,
                SyntaxKind::SEMICOLON => (is_function, is_call) = (false, false),
                SyntaxKind::POUND => hash = Some(token.text_range()),
                SyntaxKind::COMMENT if !keep_docs => cuts.push((token.text_range(), "")),
                kind if !kind.is_trivia() => hash = None,
                _ => {}
            },
            NodeOrToken::Node(_) if std::mem::take(&mut is_call) => {}
            NodeOrToken::Node(inner) => {
                let text = inner.text();
                if let Some(start) = hash.take().filter(|_| is_said_only(&text.to_string(), keep_docs)) {
                    cuts.push((start.cover(inner.text_range()), ""));
                } else if is_function && text.char_at(0.into()) == Some('{') {
                    cuts.push((inner.text_range(), NO_BODY));
                    is_function = false;
                } else {
                    cuts_in_tokens(&inner, keep_docs, cuts);
                }
            }
        }
    }
}

/// Whether an attribute, in its brackets, changes nothing that a cell could notice.
fn is_said_only(attribute: &str, keep_docs: bool) -> bool {
    let name = attribute.trim_start_matches('[').trim_start();
    (name.starts_with("doc") && !keep_docs)
        || ["stable", "rustc_const_", "inline", "must_use", "track_caller", "allow"]
            .iter()
            .any(|other| name.starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_tests_are_cut_and_signatures_with_their_docs_are_left() {
        let source = "/// Adds.\npub fn add(a: i32) -> i32 { fn inner() {} a + 1 }\n\
                      #[cfg(test)]\nmod tests { fn f() { } }\n\
                      const fn n() -> usize { 3 }\nfn some() -> impl Iterator<Item = u8> { 0..3 }\n\
                      impl A { pub fn m(&self) { self.x(); } fn x(&self) {} pub(crate) fn y(&self) {} }\n\
                      impl T for A { fn t(&self) {} type Out = u8; }\ntrait T { fn t(&self); fn with(&self) { 1 } }\n\
                      extern \"C\" { fn c(); }\n\
                      macro_rules! m { (fn { $a:expr }) => { #[inline] /// Docs.\n#[cfg(a)] $(fn f() -> $b { $a })* n! { #[inline] } } }\n";
        let left = "/// Adds.\npub fn add(a: i32) -> i32 { loop {} }\n\n\
                    const fn n() -> usize { 3 }\nfn some() -> impl Iterator<Item = u8> { 0..3 }\n\
                    impl A { pub fn m(&self) { loop {} }   }\n\
                    impl T for A {  type Out = u8; }\ntrait T { fn t(&self); fn with(&self) { loop {} } }\n\
                    extern \"C\" {}\n\
                    macro_rules! m { (fn { $a:expr }) => {  \n#[cfg(a)] $(fn f() -> $b { loop {} })* n! { #[inline] } } }\n";
        assert_eq!(outline(source), left);
    }

    #[test]
    fn a_folders_tests_stay_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for file in ["src/lib.rs", "src/deep/mod.rs", "tests/all.rs", "src/notes.txt"] {
            let file = from.join(file);
            fs::create_dir_all(file.with_file_name("")).unwrap();
            fs::write(file, "pub fn f() { 1 }").unwrap();
        }
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("src/deep/mod.rs")).unwrap(), "pub fn f() { loop {} }");
        assert!(!to.join("tests").exists() && !to.join("src/notes.txt").exists());
    }
}
