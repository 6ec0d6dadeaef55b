//! Questions about a cell's text: what it defines, and where a name begins and ends.

use ra_ap_syntax::ast::{Expr, HasModuleItem, HasName, Impl, Item, LetStmt, Name, Pat};
use ra_ap_syntax::{AstNode, Edition, NodeOrToken, Parse, SourceFile, SyntaxKind};

/// The Rust of a cell.
pub const EDITION: Edition = Edition::Edition2024;

/// The types that a cell defines for the cells after it; none if it is no whole Rust.
pub fn defined_types(code: &str) -> Vec<String> {
    let file = as_function(code);
    if !file.errors().is_empty() {
        return Vec::new();
    }
    let is_type = |item: &Item| matches!(item, Item::Struct(_) | Item::Enum(_) | Item::Union(_));
    items(&file.tree()).iter().filter(|item| is_type(item)).filter_map(name_of).collect()
}

/// All that a cell defines for the cells after it, also where it is no whole Rust: functions, types, constants, traits,
/// modules and macros, and the types that it gives methods.
pub fn defined_names(code: &str) -> Vec<String> {
    let given = |item: &Item| match item {
        Item::Impl(item) => owner_of(item),
        item => name_of(item),
    };
    let mut names: Vec<String> = items(&as_function(code).tree()).iter().filter_map(given).collect();
    names.sort();
    names.dedup();
    names
}

/// The name of an item that has one.
pub fn name_of(item: &Item) -> Option<String> {
    Some(item.syntax().children().find_map(Name::cast)?.text().to_string())
}

/// The name of the type that an `impl` is about.
pub fn owner_of(block: &Impl) -> Option<String> {
    let text = block.self_ty()?.syntax().text().to_string();
    let name: String = text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first variable of a cell that is a closure, as `let f = |x| x + 1;` makes one. No other cell could use it: its type has
/// no name. A type beside the name (`let f: fn(i32) -> i32 = …`) makes it another thing.
pub fn closure(code: &str) -> Option<String> {
    let parsed = as_function(code);
    let statements = parsed.tree().items().find_map(|item| match item {
        Item::Fn(function) => function.body()?.stmt_list(),
        _ => None,
    })?;
    let variables = statements.statements().filter_map(|statement| LetStmt::cast(statement.syntax().clone()));
    let name = |variable: &LetStmt| match variable.pat()? {
        Pat::IdentPat(pattern) => Some(pattern.name()?.text().to_string()),
        _ => None, // `_` keeps nothing
    };
    let is_closure =
        |variable: &LetStmt| matches!(variable.initializer(), Some(Expr::ClosureExpr(_))) && variable.ty().is_none();
    let variables: Vec<LetStmt> = variables.collect();
    variables.iter().enumerate().find_map(|(place, variable)| {
        let name_of_it = name(variable).filter(|_| is_closure(variable))?;
        // What another variable of the name takes the place of need not be kept.
        let is_last = variables[place + 1..].iter().all(|later| name(later).as_ref() != Some(&name_of_it));
        is_last.then_some(name_of_it)
    })
}

/// The names that stand in a cell, outside of its texts and comments.
pub fn names(code: &str) -> Vec<String> {
    let tokens = as_function(code).syntax_node().descendants_with_tokens().filter_map(NodeOrToken::into_token);
    // The first one is the function's.
    let names = tokens.filter(|token| token.kind() == SyntaxKind::IDENT).skip(1);
    let mut names: Vec<String> = names.map(|token| token.text().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// A cell as the body of a function, one line further down.
pub fn as_function(code: &str) -> Parse<SourceFile> {
    SourceFile::parse(&format!("fn cell() {{\n{code}\n}}"), EDITION)
}

/// A cell's own items; after a brace too many, those behind it as well.
fn items(file: &SourceFile) -> Vec<Item> {
    let mut all = file.items();
    let cell = all.find_map(|item| if let Item::Fn(cell) = item { cell.body() } else { None });
    let statements = cell.and_then(|body| body.stmt_list());
    let inside = statements.into_iter().flat_map(|all| all.syntax().children()).filter_map(Item::cast);
    inside.chain(all).collect()
}

/// Whether a type is made with the one of this name: `Vec<Mine>` is with `Mine`, and not with `Min`.
pub fn is_made_with(type_name: &str, name: &str) -> bool {
    type_name.split(|character: char| !character.is_alphanumeric() && character != '_').any(|word| word == name)
}

/// Which of a cell's lines, from 0, holds a generated one (evcxr takes the statements of a line apart): of several the
/// nearest to line `near`, from 1.
pub fn line_with(cell: &[&str], generated: &str, near: Option<i64>) -> Option<usize> {
    let holding = cell.iter().enumerate().filter(|(_, line)| !generated.is_empty() && line.contains(generated));
    holding.map(|(at, _)| at).min_by_key(|at| near.map_or(0, |near| (*at as i64 + 1 - near).abs()))
}

/// From Jupyter's positions, which count code points, to Rust's, which count bytes.
pub fn byte_position(code: &str, characters: usize) -> usize {
    code.char_indices().nth(characters).map_or(code.len(), |(at, _)| at)
}

/// From bytes to code points.
pub fn character_position(code: &str, bytes: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < bytes).count()
}

/// Where to look up what the cursor is at: the end of the name it touches; within a call's brackets the name before them.
pub fn name_position(code: &str, cursor: usize) -> usize {
    let is_name = |character: char| character.is_alphanumeric() || character == '_' || character == '!';
    let before = code[..cursor].chars().next_back().is_some_and(is_name);
    let after = code[cursor..].chars().next().is_some_and(is_name);
    if before || after {
        return code[cursor..].find(|character| !is_name(character)).map_or(code.len(), |length| cursor + length);
    }
    let mut depth = 0;
    for (at, character) in code[..cursor].char_indices().rev() {
        match character {
            ')' => depth += 1,
            '(' if depth == 0 => return at + 1,
            '(' => depth -= 1,
            ';' | '{' | '}' if depth == 0 => break,
            _ => {}
        }
    }
    cursor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_that_a_cell_defines_are_found() {
        assert_eq!(
            defined_types("#[derive(Clone)]\nstruct A { x: i32 }\nlet a = A { x: 1 };\nenum B<T> { One(T) }"),
            ["A", "B"]
        );
        assert_eq!(defined_types("impl A { fn x(&self) {} }\ntype C = i32; a.x"), Vec::<String>::new());
        assert_eq!(defined_types("fn f() { struct A { x: i32 } }"), Vec::<String>::new(), "no other cell sees it");
        assert_eq!(defined_types("struct A {"), Vec::<String>::new());
        assert!(is_made_with("Vec<Mine>", "Mine") && is_made_with("&'static Mine", "Mine"));
        assert!(!is_made_with("Miner", "Mine") && !is_made_with("Vec<i32>", "Mine"));
    }

    #[test]
    fn a_variable_that_is_a_closure_is_known_by_its_text() {
        assert_eq!(closure("let a = 1;\nlet add = |x: i32| x + a;").as_deref(), Some("add"));
        assert_eq!(closure("let mut count = || 1;").as_deref(), Some("count"));
        assert_eq!(closure("let go = move || loop {};").as_deref(), Some("go"));
        for code in [
            "let f: fn(i32) -> i32 = |x| x + 1;",
            "let n = [1].map(|x| x + 1);",
            "{ let f = |x| x + 1; f(2) }",
            "fn f() { let g = |x| x; }",
            "let _ = |x: i32| x;",
            "let twice = |x: i32| 2 * x;\nlet twice = twice(3);",
            "let b = Box::new(|x: i32| x) as Box<dyn Fn(i32) -> i32>;",
        ] {
            assert_eq!(closure(code), None, "{code}");
        }
    }

    #[test]
    fn what_a_cell_defines_is_found_also_where_it_is_no_whole_rust() {
        let whole = "fn f() { fn inner() {} }\nstruct A;\nimpl<T> B<T> { fn m() {} }\nimpl Clone for A {}\nlet x = 1;\nmacro_rules! m { () => {} }";
        assert_eq!(defined_names(whole), ["A", "B", "f", "m"]);
        for broken in [
            "fn f(x) -> Tensor { x",
            "fn f(x: &Tensor) -> Tensor { x.relu( }",
            "fn f(x: f64) { }\n}",
            "} fn f() {}",
            "fn f(x: f64) -> f64 { x + }",
        ] {
            assert_eq!(defined_names(broken), ["f"], "{broken}");
        }
        assert_eq!(names("let a = b.c(\"d\"); // e"), ["a", "b", "c"]);
    }

    #[test]
    fn positions_count_code_points() {
        let code = "let ä = 'x';";
        let at = byte_position(code, 6);
        assert_eq!(&code[..at], "let ä ");
        assert_eq!(character_position(code, at), 6);
    }

    #[test]
    fn the_name_is_found_from_within_it_and_from_its_brackets() {
        let code = "let t = Tensor::zeros(&[1], x);";
        let end = code.find('(').unwrap();
        assert_eq!(name_position(code, end - 3), end);
        assert_eq!(name_position(code, code.find(", x").unwrap() + 2 - 1), end + 1);
    }
}
