//! Which module of a crate uses which: arrows run one way, and circles are faults.
//!
//! An arrow is a name of the crate's own in a `use`, or a path before `::`. A `mod` and a `pub use` are none: a folder's first
//! page may name what is in it, and what is used by that name is used where it stands. Tests may use everything.
//!
//! `cargo test -p glasslab-kernel --test arrows -- --nocapture` tells all arrows.

use ra_ap_syntax::ast::{self, HasAttrs, HasModuleItem, HasName, HasVisibility};
use ra_ap_syntax::{AstNode, Edition, NodeOrToken, SourceFile, SyntaxKind, SyntaxNode, WalkEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module by its names, from the crate on; the crate itself has none.
type Module = Vec<String>;

/// What one file says.
#[derive(Default)]
struct Page {
    /// The modules below it that are no tests.
    below: BTreeSet<String>,
    /// What it defines itself.
    defines: BTreeSet<String>,
    /// What stands here under a name, and where it comes from.
    renamed: Vec<(String, Vec<String>)>,
    /// The paths that it uses, from the crate on.
    uses: Vec<Vec<String>>,
}

impl Page {
    fn read(module: &Module, text: &str) -> Page {
        let file = SourceFile::parse(text, Edition::Edition2024).tree();
        let mut page = Page::default();
        for item in file.items().filter(|item| !is_test(item.syntax())) {
            match &item {
                ast::Item::Module(below) if below.item_list().is_none() => page.below.extend(name_of(&item)),
                _ => page.defines.extend(name_of(&item)),
            }
        }
        page.walk(module, file.syntax());
        page
    }

    /// Takes what is named below a node of a module's text.
    fn walk(&mut self, module: &Module, node: &SyntaxNode) {
        let mut tokens: Vec<String> = Vec::new();
        let mut nodes = node.preorder_with_tokens();
        while let Some(event) = nodes.next() {
            match event {
                WalkEvent::Enter(NodeOrToken::Node(inner)) if inner != *node => {
                    if is_test(&inner) {
                        nodes.skip_subtree();
                    } else if let Some(item) = ast::Use::cast(inner.clone()) {
                        self.take_use(module, &item);
                        nodes.skip_subtree();
                    } else if let Some(named) =
                        ast::Module::cast(inner.clone()).filter(|item| item.item_list().is_some())
                    {
                        let name = named.name().map(|name| name.text().to_string());
                        self.walk(&module.iter().cloned().chain(name).collect(), &inner);
                        nodes.skip_subtree();
                    }
                }
                WalkEvent::Enter(NodeOrToken::Token(token)) if !token.kind().is_trivia() => {
                    // Inside of macros `::` comes as two.
                    match (token.kind(), tokens.last_mut()) {
                        (SyntaxKind::COLON, Some(last)) if last == ":" => *last = "::".to_owned(),
                        _ => tokens.push(token.text().to_owned()),
                    }
                }
                _ => {}
            }
        }
        for at in 0..tokens.len() {
            let is_begun = at > 0 && matches!(tokens[at - 1].as_str(), "::" | ".");
            if !is_begun && tokens.get(at + 1).is_some_and(|next| next == "::") {
                let path = tokens[at..].chunks(2).take_while(|pair| pair[0].starts_with(is_name));
                let end = path.clone().position(|pair| pair.get(1).is_none_or(|next| next != "::"));
                let names = path.take(end.map_or(usize::MAX, |end| end + 1)).map(|pair| pair[0].clone());
                self.uses.extend(self.within(module, names.collect()));
            }
        }
    }

    fn take_use(&mut self, module: &Module, item: &ast::Use) {
        let mut paths = Vec::new();
        item.use_tree().iter().for_each(|tree| flatten(tree, &[], &mut paths));
        for (path, name) in paths {
            match self.within(module, path) {
                Some(path) if item.visibility().is_some() => self.renamed.push((name, path)),
                Some(path) => self.uses.push(path),
                None => {}
            }
        }
    }

    /// A path from the crate on; nothing if it leads out of the crate.
    fn within(&self, module: &Module, path: Vec<String>) -> Option<Vec<String>> {
        let mut names = path.into_iter().peekable();
        let mut from = match names.peek()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.clone(),
            name if self.below.contains(name) => return Some(module.iter().cloned().chain(names).collect()),
            _ => return None,
        };
        while let Some(name) = names.next_if(|name| matches!(name.as_str(), "crate" | "self" | "super")) {
            if name == "super" {
                from.pop();
            }
        }
        Some(from.into_iter().chain(names).collect())
    }
}

fn is_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_test(node: &SyntaxNode) -> bool {
    let attributes = ast::AnyHasAttrs::cast(node.clone()).into_iter().flat_map(|item| item.attrs().collect::<Vec<_>>());
    attributes.map(|one| one.syntax().text().to_string()).any(|one| one == "#[cfg(test)]" || one.starts_with("#[test"))
}

fn name_of(item: &ast::Item) -> Option<String> {
    let name = item.syntax().children().find_map(ast::Name::cast)?;
    Some(name.text().to_string())
}

/// The paths of a `use`, each with the name that it has here; `*` for all.
fn flatten(tree: &ast::UseTree, before: &[String], paths: &mut Vec<(Vec<String>, String)>) {
    let own = tree.path().map(|path| path.syntax().text().to_string()).unwrap_or_default();
    let own = own.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let mut path: Vec<String> = before.iter().cloned().chain(own).collect();
    if let Some(list) = tree.use_tree_list() {
        return list.use_trees().for_each(|tree| flatten(&tree, &path, paths));
    }
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let last = if tree.star_token().is_some() { Some("*".to_owned()) } else { path.last().cloned() };
    let renamed = tree.rename().and_then(|rename| rename.name()).map(|name| name.text().to_string());
    paths.extend(renamed.or(last).map(|name| (path, name)));
}

/// All pages of a crate, from its first one on.
fn pages(read: &dyn Fn(&Module) -> Option<String>) -> BTreeMap<Module, Page> {
    let (mut pages, mut open) = (BTreeMap::new(), vec![Module::new()]);
    while let Some(module) = open.pop() {
        let Some(text) = read(&module) else { continue };
        let page = Page::read(&module, &text);
        open.extend(page.below.iter().map(|name| module.iter().chain([name]).cloned().collect()));
        pages.insert(module, page);
    }
    pages
}

/// The module in which stands what a path names.
fn owner(pages: &BTreeMap<Module, Page>, path: &[String], depth: usize) -> Module {
    let mut module = Module::new();
    for (at, name) in path.iter().enumerate() {
        let page = &pages[&module];
        if page.below.contains(name) {
            module.push(name.clone());
            continue;
        }
        let is_meant = |(known, path): &&(String, Vec<String>)| {
            known == name || known == "*" && pages[&owner(pages, path, depth + 1)].defines.contains(name)
        };
        if let Some((known, from)) =
            page.renamed.iter().filter(|_| depth < 8 && !page.defines.contains(name)).find(is_meant)
        {
            let rest = if known == "*" { &path[at..] } else { &path[at + 1..] };
            return owner(pages, &[from, rest].concat(), depth + 1);
        }
        break;
    }
    module
}

/// Who uses whom.
fn arrows(pages: &BTreeMap<Module, Page>) -> BTreeSet<(Module, Module)> {
    let used = pages.iter().flat_map(|(from, page)| page.uses.iter().map(move |path| (from, path)));
    used.map(|(from, path)| (from.clone(), owner(pages, path, 0))).filter(|(from, to)| from != to).collect()
}

/// The same between the folders: what is below a module of the crate counts as that one.
fn between_rooms(arrows: &BTreeSet<(Module, Module)>) -> BTreeSet<(Module, Module)> {
    let room = |module: &Module| module.iter().take(1).cloned().collect::<Module>();
    arrows.iter().map(|(from, to)| (room(from), room(to))).filter(|(from, to)| from != to).collect()
}

/// Groups in which each can be reached from each.
fn circles(arrows: &BTreeSet<(Module, Module)>) -> BTreeSet<BTreeSet<String>> {
    let mut all: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (from, _) in arrows {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            open.extend(
                arrows.iter().filter(|(one, other)| one == at && reached.insert(other)).map(|(_, other)| other),
            );
        }
        all.insert(from, reached);
    }
    let is_back = |one, other| all.get(other).is_some_and(|reached| reached.contains(one));
    let groups = all.iter().map(|(one, reached)| reached.iter().filter(|other| is_back(one, **other)));
    groups
        .map(|group| group.map(|module| shown(module)).collect())
        .filter(|group: &BTreeSet<_>| !group.is_empty())
        .collect()
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

fn circles_of(read: &dyn Fn(&Module) -> Option<String>, tell: bool) -> BTreeSet<BTreeSet<String>> {
    let arrows = arrows(&pages(read));
    for (from, to) in arrows.iter().filter(|_| tell) {
        println!("  {} → {}", shown(from), shown(to));
    }
    let mut all = circles(&arrows);
    all.extend(circles(&between_rooms(&arrows)));
    all
}

#[test]
fn no_crate_has_a_circle_of_modules() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for folder in fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let source = folder.join("src");
        let first = if source.join("lib.rs").exists() { "lib" } else { "main" };
        let read = |module: &Module| {
            let file = if module.is_empty() { source.join(first) } else { source.join(module.join("/")) };
            let pages = [file.with_extension("rs"), file.join("mod.rs")];
            pages.iter().find_map(|page| fs::read_to_string(page).ok())
        };
        println!("{name}");
        let told = |circle: BTreeSet<String>| circle.into_iter().collect::<Vec<_>>().join(" ");
        wrong.extend(circles_of(&read, true).into_iter().map(|circle| format!("{name}: {}", told(circle))));
    }
    assert!(wrong.is_empty(), "circles, which are to be opened:\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found_however_it_is_written_and_a_first_page_is_none() {
    let of = |pages: &[(&str, &str)]| {
        let read = |module: &Module| {
            let name = module.join("/");
            pages.iter().find(|(other, _)| *other == name).map(|(_, text)| text.to_string())
        };
        let found = circles_of(&read, false).into_iter().map(|circle| circle.into_iter().collect::<Vec<_>>().join(" "));
        found.collect::<Vec<_>>().join(", ")
    };
    let root = ("", "mod a; mod b; pub use b::B;");
    assert_eq!(of(&[root, ("a", "use crate::b::X;"), ("b", "use crate::c::Y; use std::a::Z;")]), "");
    for (a, b) in [
        ("use crate::b::X;", "fn f() { crate::a::g() }"),
        ("use crate::{b::{self, X}};", "fn f() { g!(1, crate::a::g()) }"),
        ("use super::b;", "mod inner { use super::super::a::*; }"),
        ("use crate::B;", "pub struct B; use crate::a;"),
    ] {
        assert_eq!(of(&[root, ("a", a), ("b", b)]), "a b", "{a} {b}");
    }
    let page = ("a", "pub mod c; pub mod d; pub use c::C; pub use d::*; pub struct A;");
    let below = [("a/c", "use super::A; pub struct C;"), ("a/d", "use crate::a::{A, C}; pub struct D;")];
    assert_eq!(of(&[root, page, below[0], below[1], ("b", "use crate::a::{C, D};")]), "");
    assert_eq!(of(&[root, page, ("a/c", "use super::D;"), below[1]]), "a::c a::d");
    assert_eq!(of(&[root, ("a", "mod c; fn f() { c::g() }"), ("a/c", "use super::A;")]), "a a::c");
    assert_eq!(of(&[root, ("a", "mod c;"), ("a/c", "use crate::b::X;"), ("b", "use crate::a::A;")]), "a b");
    let tests = "#[cfg(test)]\nmod tests { use crate::a::A; }\n#[cfg(test)]\nuse crate::a;";
    assert_eq!(of(&[root, ("a", "use crate::b::X;"), ("b", tests)]), "");
}
