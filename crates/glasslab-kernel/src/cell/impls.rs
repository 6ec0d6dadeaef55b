//! `impl` blocks that a cell runs again.
//!
//! evcxr replaces what has a name when a cell defines it anew. An `impl` has none: one that stands behind its type in a
//! cell goes with that, but all others would stay for ever, and the second run of their cell would conflict with the
//! first. So each of those gets a name, by an empty type alias before it: the name of the earlier one whose place it takes.

use crate::cell::code::{as_function, name_of, owner_of};
use ra_ap_syntax::ast::{AssocItem, HasName, Impl, Item};
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxNode};

/// What the names begin with.
pub const ALIAS: &str = "GlasslabImpl";

/// An `impl` without its type in its cell.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    /// What stands before its braces, without blanks.
    head: String,
    /// The names within, if it is of no trait: such a block may stand beside others.
    names: Vec<String>,
    alias: usize,
}

/// All that are in use.
#[derive(Default)]
pub struct Impls {
    known: Vec<Block>,
    count: usize,
}

/// A cell with named `impl` blocks.
#[derive(Default)]
pub struct Named {
    /// The cell as evcxr gets it.
    pub code: String,
    /// Where something was put in: its line, from 1, and column, from 1, and how many characters.
    pub inserted: Vec<(usize, usize, usize)>,
    blocks: Vec<Block>,
}

impl Impls {
    /// Names the blocks of a cell.
    pub fn name(&mut self, code: &str) -> Named {
        let mut named = Named { code: code.to_owned(), ..Named::default() };
        let mut places = Vec::new();
        for (block, place) in blocks(code) {
            let takes_place = |other: &&Block| {
                other.head == block.head
                    && named.blocks.iter().all(|taken: &Block| taken.alias != other.alias)
                    && (block.names.is_empty() || block.names.iter().any(|name| other.names.contains(name)))
            };
            let alias = self.known.iter().find(takes_place).map(|other| other.alias);
            let alias = alias.unwrap_or_else(|| {
                self.count += 1;
                self.count
            });
            named.blocks.push(Block { alias, ..block });
            places.push((place, format!("type {ALIAS}{alias} = (); ")));
        }
        for (place, text) in places.into_iter().rev() {
            let line = code[..place].rfind('\n').map_or(0, |at| at + 1);
            let (number, column) = (code[..place].matches('\n').count() + 1, code[line..place].chars().count() + 1);
            named.code.insert_str(place, &text);
            named.inserted.push((number, column, text.len()));
        }
        named
    }

    /// A cell's blocks are in use.
    pub fn took(&mut self, named: Named) {
        self.known.retain(|known| named.blocks.iter().all(|block| block.alias != known.alias));
        self.known.extend(named.blocks);
    }

    /// Everything is forgotten.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

impl Named {
    /// A column of the cell, from one that evcxr names.
    pub fn column(&self, line: usize, column: usize) -> usize {
        let mut moved = 0;
        // The list goes from right to left.
        for (_, begin, length) in self.inserted.iter().rev().filter(|(at, ..)| *at == line) {
            if column <= begin + moved {
                break;
            }
            moved += (*length).min(column - begin - moved);
        }
        column - moved
    }
}

/// A cell's `impl` blocks whose type it does not define, and where they begin.
fn blocks(code: &str) -> Vec<(Block, usize)> {
    if !code.contains("impl") {
        return Vec::new();
    }
    let parsed = as_function(code);
    if !parsed.errors().is_empty() {
        return Vec::new();
    }
    const BEFORE: usize = "fn cell() {\n".len();
    let body = parsed.tree().syntax().descendants().find(|node| node.kind() == ra_ap_syntax::SyntaxKind::STMT_LIST);
    let items: Vec<Item> = body.iter().flat_map(SyntaxNode::children).filter_map(Item::cast).collect();
    let is_type = |item: &Item| matches!(item, Item::Struct(_) | Item::Enum(_) | Item::Union(_) | Item::Trait(_));
    let defined: Vec<String> = items.iter().filter(|item| is_type(item)).filter_map(name_of).collect();
    let found = items.into_iter().filter_map(|item| if let Item::Impl(block) = item { Some(block) } else { None });
    let without_type = found.filter(|block| !owner_of(block).is_some_and(|owner| defined.contains(&owner)));
    without_type.map(|block| (described(&block), usize::from(block.syntax().text_range().start()) - BEFORE)).collect()
}

fn described(block: &Impl) -> Block {
    let within = block.assoc_item_list();
    let begin = within.as_ref().map_or(block.syntax().text_range().end(), |list| list.syntax().text_range().start());
    let tokens = block.syntax().descendants_with_tokens().filter_map(NodeOrToken::into_token);
    let head = tokens.filter(|token| token.text_range().end() <= begin && !token.kind().is_trivia());
    let head = head.map(|token| token.text().to_owned()).collect::<Vec<_>>().join(" ");
    let names = within.into_iter().flat_map(|list| list.assoc_items()).filter_map(|item| match item {
        AssocItem::Fn(item) => item.name(),
        AssocItem::Const(item) => item.name(),
        AssocItem::TypeAlias(item) => item.name(),
        AssocItem::MacroCall(_) => None,
    });
    let names = if block.trait_().is_some() { Vec::new() } else { names.map(|name| name.text().to_string()).collect() };
    Block { head, names, alias: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a cell: how evcxr gets it.
    fn run(impls: &mut Impls, code: &str) -> String {
        let named = impls.name(code);
        let code = named.code.clone();
        impls.took(named);
        code
    }

    #[test]
    fn the_same_block_has_the_same_name_and_another_one_another() {
        let mut impls = Impls::default();
        let cell = "/// Shown.\nimpl Display for A { fn fmt(&self) {} }";
        assert_eq!(run(&mut impls, cell), format!("type GlasslabImpl1 = (); {cell}"));
        assert!(run(&mut impls, "impl  Display  for A { fn fmt(&self) { 1 } }").contains("GlasslabImpl1 "));
        assert!(run(&mut impls, "impl Debug for A {}").contains("GlasslabImpl2 "));
        let two = run(&mut impls, "fn f() {}\nimpl A { fn x() {} }\nimpl A { fn y() {} }");
        assert!(two.contains("type GlasslabImpl3 = (); impl A { fn x") && two.contains("GlasslabImpl4 "), "{two}");
        assert!(run(&mut impls, "impl A { fn y() { 2 } fn z() {} }").contains("GlasslabImpl4 "));
        assert!(run(&mut impls, "impl A { fn w() {} }").contains("GlasslabImpl5 "));
    }

    #[test]
    fn a_block_with_its_type_and_what_is_no_rust_are_left_alone() {
        let mut impls = Impls::default();
        for cell in ["struct A;\nfn f() {}\nimpl A {}", "impl A { fn", "fn f() { impl A {} }", "let implies = 1;"] {
            assert_eq!(run(&mut impls, cell), cell);
        }
    }

    #[test]
    fn a_cell_that_did_not_run_takes_no_place() {
        let mut impls = Impls::default();
        run(&mut impls, "impl A { fn x() {} }");
        let _ = impls.name("impl A { fn x() {} fn y() {} }");
        assert!(run(&mut impls, "impl A { fn y() {} }").contains("GlasslabImpl2 "));
    }

    #[test]
    fn columns_are_the_learners_own() {
        let mut impls = Impls::default();
        let named = impls.name("let x = 1; impl A {} impl B {}");
        let length = "type GlasslabImpl1 = (); ".len();
        assert_eq!(named.column(1, 5), 5);
        assert_eq!(named.column(1, 12 + length + 5), 17);
        assert_eq!(named.column(1, 22 + 2 * length + 5), 27);
        assert_eq!(named.column(2, 40), 40);
    }
}
