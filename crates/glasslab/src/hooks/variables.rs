//! A notebook's variables between two cells.
//!
//! evcxr puts the source of such a store into every cell, and rustc would compile its hash map anew each time. The
//! kernel puts a `use` of this one there instead, which is compiled already. It is laid out as evcxr's own, because
//! one notebook may use both: a cell that cargo builds still has evcxr's.

use std::any::Any;
use std::collections::HashMap;

/// How evcxr hears that a variable's type was defined anew, so that its old value is lost.
pub const VARIABLE_CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// How evcxr hears that a `?` ended the cell.
pub const USER_ERROR_OCCURRED: &str = "EVCXR_ERROR_OCCURRED";

/// The variables by their names.
#[derive(Debug, Default)]
pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any + 'static>>,
}

impl VariableStore {
    /// An empty store.
    pub fn new() -> VariableStore {
        VariableStore::default()
    }

    /// Keeps a variable.
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    /// Whether a variable has the type that a cell takes it for; if not, evcxr is told.
    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        let is_other = self.get(name).is_some_and(|value| !value.is::<T>());
        if is_other {
            tell_lost(name);
        }
        !is_other
    }

    /// Gives a variable to a cell.
    ///
    /// # Panics
    /// If it is not there, or has another type, which evcxr rules out.
    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        match self.take(name).downcast() {
            Ok(value) => *value,
            Err(_) => panic!("the variable {name} has another type"),
        }
    }

    /// A value that is made when it is asked for first.
    ///
    /// # Panics
    /// If it has another type.
    pub fn lazy_arc<T: 'static, F: FnOnce() -> T>(&mut self, name: &str, create: F) -> std::sync::Arc<T> {
        let value = self.variables.entry(name.to_owned()).or_insert_with(|| Box::new(std::sync::Arc::new(create())));
        match value.downcast_ref::<std::sync::Arc<T>>() {
            Some(value) => value.clone(),
            None => panic!("{name} has another type"),
        }
    }

    /// Takes all of another store's variables over.
    pub fn merge(&mut self, mut other: VariableStore) {
        self.variables.extend(other.variables.drain());
    }

    // What follows is not generic: it is compiled here, not in a cell.

    #[inline(never)]
    fn put(&mut self, name: &str, value: Box<dyn Any>) {
        self.variables.insert(name.to_owned(), value);
    }

    #[inline(never)]
    fn take(&mut self, name: &str) -> Box<dyn Any> {
        match self.variables.remove(name) {
            Some(value) => value,
            None => panic!("the variable {name} has gone missing"),
        }
    }

    #[inline(never)]
    fn get(&self, name: &str) -> Option<&dyn Any> {
        self.variables.get(name).map(|value| &**value)
    }
}

#[inline(never)]
fn tell_lost(name: &str) {
    eprintln!("The type of the variable {name} was redefined, so was lost.");
    println!("{VARIABLE_CHANGED_TYPE}{name}");
}

/// A store that lives as long as the cells' process.
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::new(VariableStore::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_comes_back_as_it_was_and_once() {
        let mut store = VariableStore::new();
        store.put_variable("text", "abc".to_owned());
        store.put_variable("number", 3_i32);
        assert!(store.check_variable::<String>("text") && !store.check_variable::<i64>("number"));
        assert!(store.check_variable::<i64>("nobody's"), "what is not there has no other type");
        assert_eq!(store.take_variable::<String>("text"), "abc");
        let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.take_variable::<String>("text")));
        assert!(again.is_err());
        let mut other = VariableStore::new();
        other.merge(store);
        assert_eq!(other.take_variable::<i32>("number"), 3);
    }

    #[test]
    fn a_value_is_made_once() {
        let mut store = VariableStore::new();
        assert_eq!(*store.lazy_arc("a", || 1), 1);
        assert_eq!(*store.lazy_arc("a", || 2), 1);
    }
}
