//! What a cell's own macros declare.
//!
//! `mk!(Foo);` stands in a cell as a statement, and evcxr puts statements into a function: a `struct Foo` that the macro
//! declares would be gone with it. So such a call is replaced by what it stands for, if that is items only. rust-analyzer's
//! expander tells (the one that completions are made with).

use crate::cell::code::{EDITION, as_function};
use ra_ap_mbe::{DeclarativeMacro, MacroCallStyle};
use ra_ap_span::{EditionedFileId, FileId, ROOT_ERASED_FILE_AST_ID, Span, SpanAnchor, SyntaxContext, TextRange};
use ra_ap_syntax::ast::{HasName, Item, MacroCall, MacroRules, StmtList};
use ra_ap_syntax::{AstNode, SourceFile, SyntaxNode};
use ra_ap_syntax_bridge::parse_to_token_tree_static_span;
use std::collections::HashMap;

/// The macros that cells have declared: their rules.
#[derive(Default)]
pub struct Macros {
    rules: HashMap<String, String>,
}

/// Macros that call each other are followed so far.
const DEEPEST: usize = 20;

impl Macros {
    /// The cell with the items that its macros declare in the place of the calls, line by line as before.
    pub fn expanded(&self, code: &str) -> String {
        if !code.contains('!') {
            return code.to_owned();
        }
        let mut known = self.rules.clone();
        known.extend(declared(code));
        let mut expanded = code.to_owned();
        for (name, arguments, place) in calls(code).into_iter().rev() {
            if let Some(items) = items(&known, &name, &arguments, 0) {
                let lines = "\n".repeat(code[place.clone()].matches('\n').count());
                expanded.replace_range(place, &(items + &lines));
            }
        }
        expanded
    }

    /// A cell's macros are in use.
    pub fn took(&mut self, code: &str) {
        self.rules.extend(declared(code));
    }

    /// Everything is forgotten.
    pub fn clear(&mut self) {
        self.rules.clear();
    }
}

/// The rules of each macro that a cell declares.
fn declared(code: &str) -> Vec<(String, String)> {
    let statements = statements(code);
    let rules = statements.iter().filter_map(|node| MacroRules::cast(node.clone()));
    rules.filter_map(|rules| Some((rules.name()?.text().to_string(), within(rules.token_tree()?.syntax())))).collect()
}

/// The calls of macros that are statements of a cell: the macro, what it is given, and the place of the statement.
fn calls(code: &str) -> Vec<(String, String, std::ops::Range<usize>)> {
    const BEFORE: usize = "fn cell() {\n".len();
    let call = |statement: &SyntaxNode| {
        // With or without a semicolon, and nothing else.
        let call = std::iter::successors(Some(statement.clone()), SyntaxNode::first_child).find_map(MacroCall::cast)?;
        let is_all = call.syntax().text() == statement.text().to_string().trim_end_matches(';').trim_end();
        let name = call.path()?.as_single_name_ref()?.text().to_string();
        let range = statement.text_range();
        let place = usize::from(range.start()).checked_sub(BEFORE)?..usize::from(range.end()) - BEFORE;
        is_all.then_some((name, within(call.token_tree()?.syntax()), place))
    };
    statements(code).iter().filter_map(call).collect()
}

fn statements(code: &str) -> Vec<SyntaxNode> {
    let parsed = as_function(code);
    if !parsed.errors().is_empty() {
        return Vec::new();
    }
    let body = parsed.syntax_node().descendants().find_map(StmtList::cast);
    body.iter().flat_map(|body| body.syntax().children()).collect()
}

/// What stands between a macro's brackets.
fn within(brackets: &SyntaxNode) -> String {
    let text = brackets.text().to_string();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// What a call stands for, on one line, if that is items only.
fn items(known: &HashMap<String, String>, name: &str, arguments: &str, depth: usize) -> Option<String> {
    let anchor =
        SpanAnchor { file_id: EditionedFileId::new(FileId::from_raw(0), EDITION), ast_id: ROOT_ERASED_FILE_AST_ID };
    let nowhere = Span { range: TextRange::default(), anchor, ctx: SyntaxContext::root(EDITION) };
    let tree = |text: &str| parse_to_token_tree_static_span(EDITION, nowhere, text);
    let rules = known.get(name).filter(|_| depth < DEEPEST)?;
    let rules = DeclarativeMacro::parse_macro_rules(&tree(rules)?, |_| EDITION);
    let database = salsa::DatabaseImpl::default();
    let made = rules.expand(&database, &tree(arguments)?, |_| {}, MacroCallStyle::FnLike, nowhere);
    let text = made.result().ok()?.0.to_string().replace('\n', " ");
    let file = SourceFile::parse(&text, EDITION);
    let declared = file.syntax_node().children().map(|node| match Item::cast(node.clone())? {
        Item::MacroCall(call) => {
            let name = call.path()?.as_single_name_ref()?.text().to_string();
            items(known, &name, &within(call.token_tree()?.syntax()), depth + 1)
        }
        _ => Some(node.text().to_string()),
    });
    let declared = declared.collect::<Option<Vec<String>>>()?;
    (file.errors().is_empty() && !declared.is_empty()).then(|| declared.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKE: &str = "macro_rules! mk { ($name:ident $(, $field:ident)*) => { #[derive(Debug)] pub struct $name { $(pub $field: i64),* } } }";

    fn squeezed(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_call_that_declares_is_replaced_by_what_it_declares() {
        let mut macros = Macros::default();
        macros.took(MAKE);
        let cell = macros.expanded("mk!(Foo, a,\n    b);\nlet foo = Foo { a: 1, b: 2 };");
        assert_eq!(cell.lines().count(), 3, "{cell}");
        assert!(squeezed(&cell).starts_with("#[derive(Debug)]pubstructFoo{puba:i64,pubb:i64}letfoo"), "{cell}");
        let cell = macros.expanded(&format!("{MAKE}\nmk! {{ Bar }}"));
        assert!(squeezed(&cell).ends_with("#[derive(Debug)]pubstructBar{}"), "{cell}");
        macros.took("macro_rules! two { ($a:ident, $b:ident) => { mk!($a); mk!($b); } }");
        let cell = macros.expanded("two!(A, B);");
        assert!(squeezed(&cell).contains("structA{}") && squeezed(&cell).contains("structB{}"), "{cell}");
        macros.clear();
        assert_eq!(macros.expanded("mk!(Foo);"), "mk!(Foo);");
    }

    #[test]
    fn a_call_that_declares_nothing_stays_as_it_is() {
        let mut macros = Macros::default();
        macros.took(MAKE);
        macros.took("macro_rules! say { ($x:expr) => { println!(\"{}\", $x) } }\nmacro_rules! let_it { ($x:ident) => { let $x = 1; } }");
        for code in [
            "say!(1 + 1);",
            "let_it!(x);",
            "println!(\"mk!(Foo)\");",
            "let x = mk!(Foo);",
            "mk!(1 + 1);",
            "{ mk!(Foo); }",
            "fn f() { mk!(Foo); }",
            "other!(Foo);",
            "mk!(Foo",
            "say!(1)",
        ] {
            assert_eq!(macros.expanded(code), code);
        }
    }

    #[test]
    fn generics_lifetimes_texts_and_methods_come_through() {
        let mut macros = Macros::default();
        macros.took(
            "macro_rules! holds { ($name:ident, $t:ty, $word:expr) => { pub struct $name<'a, T: Clone> { pub x: &'a T, pub n: $t } \
             impl<'a, T: Clone> $name<'a, T> { pub fn word(&self) -> &'static str { $word } pub fn twice(&self) -> Vec<$t> { vec![self.n; 2] } } } }",
        );
        let cell = macros.expanded("holds!(Foo, Vec<u8>, \"a // b\");");
        let parsed = as_function(&cell);
        assert!(parsed.errors().is_empty() && cell.contains("\"a // b\"") && !cell.contains("holds"), "{cell}");
    }
}
