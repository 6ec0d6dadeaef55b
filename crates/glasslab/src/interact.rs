//! Live hyperparameters: sliders and menus that call back into Rust.
//!
//! ```text
//! let model = Rc::new(model);
//! let shared = model.clone();
//! Interact::new()
//!     .slider("temperature", 0.1..=2.0, 0.8)
//!     .menu("prompt", &["Once", "The cat", "A"])
//!     .show(move |values| {
//!         let sampling = Sampling { temperature: values.number("temperature"), ..Sampling::default() };
//!         Ok(generate(&shared, &tokenizer, values.text("prompt"), &sampling)?)
//!     });
//! ```
//! The controls are Jupyter's standard widgets (the models of `@jupyter-widgets/controls`), spoken over
//! its comm protocol, so JupyterLab and VS Code draw them. What the closure returns stands below them and
//! is replaced at each change. It is run between cells, on the thread that runs them.
//!
//! Without such a front-end the closure runs once, with the values that the controls begin with.
//!
//! For pages that are read without a kernel, the closure can run beforehand: with `GLASSLAB_STATES=N` in the environment
//! (`scripts/lab solve` sets it), up to N states are computed, each control moved alone from where it begins, and kept in the
//! cell's output in the place of the widgets.

mod controls;
mod states;

pub use controls::Values;
use controls::{Control, Draw, values, widget};

use crate::display::{Picture, bundle, escape, html_bundle, unique_id};
use crate::stopping::listen_also;
use crate::tokenizer::printable;
use glasslab_wire::{Bundle, FromCell, ToCell, is_connected, receive, send};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a closure of [`Interact::show`] may return.
pub trait Shown {
    /// As something to show, by MIME type.
    fn into_bundle(self) -> Bundle;
}

impl Shown for Picture {
    fn into_bundle(self) -> Bundle {
        bundle(&self)
    }
}

impl Shown for String {
    fn into_bundle(self) -> Bundle {
        // A closure may return what a model wrote.
        let text = printable(&self);
        html_bundle(format!("<pre style=\"white-space:pre-wrap\">{}</pre>", escape(&text)), text)
    }
}

impl Shown for &str {
    fn into_bundle(self) -> Bundle {
        self.to_owned().into_bundle()
    }
}

impl<T: Shown, E: std::fmt::Display> Shown for Result<T, E> {
    fn into_bundle(self) -> Bundle {
        match self {
            Ok(shown) => shown.into_bundle(),
            Err(error) => error.to_string().into_bundle(),
        }
    }
}

/// Controls, and a closure that they call.
#[derive(Debug, Clone, Default)]
pub struct Interact {
    controls: Vec<Control>,
}

impl Interact {
    /// No control yet.
    pub fn new() -> Interact {
        Interact::default()
    }

    /// A slider over numbers, in a hundred steps.
    pub fn slider(self, name: &str, range: RangeInclusive<f64>, value: f64) -> Interact {
        let (low, high) = (range.start().min(*range.end()), range.start().max(*range.end()));
        let state = json!({
            "min": low, "max": high, "value": value.clamp(low, high), "step": (high - low) / 100.0,
            "readout": true, "readout_format": ".2f", "continuous_update": true, "orientation": "horizontal",
        });
        self.with(Control::new(name, "FloatSliderModel", "FloatSliderView", state))
    }

    /// A slider over numbers whose order of magnitude matters, such as a learning rate: from 10^`low` to 10^`high`.
    pub fn log_slider(self, name: &str, exponents: RangeInclusive<f64>, value: f64) -> Interact {
        let (low, high) = (exponents.start().min(*exponents.end()), exponents.start().max(*exponents.end()));
        let state = json!({
            "base": 10.0, "min": low, "max": high, "value": value, "step": (high - low) / 100.0,
            "readout": true, "readout_format": ".3g", "continuous_update": true, "orientation": "horizontal",
        });
        self.with(Control::new(name, "FloatLogSliderModel", "FloatLogSliderView", state))
    }

    /// A slider over whole numbers.
    pub fn whole(self, name: &str, range: RangeInclusive<i64>, value: i64) -> Interact {
        let (low, high) = (*range.start().min(range.end()), *range.start().max(range.end()));
        let state = json!({
            "min": low, "max": high, "value": value.clamp(low, high), "step": 1,
            "readout": true, "readout_format": "d", "continuous_update": true, "orientation": "horizontal",
        });
        self.with(Control::new(name, "IntSliderModel", "IntSliderView", state))
    }

    /// A menu; the first of the options is chosen.
    pub fn menu(self, name: &str, options: &[&str]) -> Interact {
        let state = json!({ "_options_labels": options, "index": 0 });
        let mut control = Control::new(name, "DropdownModel", "DropdownView", state);
        control.options = Some(options.iter().map(|option| (*option).to_owned()).collect());
        self.with(control)
    }

    /// A field for a line of text, such as a prompt.
    pub fn field(self, name: &str, text: &str) -> Interact {
        let state = json!({ "value": text, "continuous_update": true, "placeholder": "" });
        self.with(Control::new(name, "TextModel", "TextView", state))
    }

    fn with(mut self, control: Control) -> Interact {
        self.controls.push(control);
        self
    }

    /// Shows the controls, and below them what `draw` makes of their values, now and after each change.
    ///
    /// The closure keeps what it captures for as long as the kernel runs: give it a clone, or an `Rc`, of what
    /// later cells need as well.
    pub fn show<S: Shown>(self, mut draw: impl FnMut(&Values) -> S + 'static) {
        self.show_boxed(Box::new(move |values| draw(values).into_bundle()));
    }

    /// Shows the controls alone. Their values are read with [`setting`](crate::live::setting), by a running training too.
    pub fn show_settings(self) {
        if is_connected() {
            open(self.controls, None);
        }
    }

    fn show_boxed(self, mut draw: Draw) {
        if let Some(most) = states::wanted() {
            crate::display::show_bundle(&states::compute(&self.controls, most, &mut draw));
            return;
        }
        if !is_connected() {
            crate::display::show_bundle(&draw(&values(&self.controls)));
            return;
        }
        let first = draw(&values(&self.controls));
        let id = unique_id("interact");
        open(self.controls, Some(Drawing { id: id.clone(), draw: Some(draw) }));
        send(&FromCell::Display { data: first, id: Some(id) });
    }
}

/// Where the result of a group of controls stands, and what makes it. The closure is away while it runs.
struct Drawing {
    id: String,
    draw: Option<Draw>,
}

/// Controls that are shown together.
struct Group {
    controls: Vec<Control>,
    drawing: Option<Drawing>,
}

/// What is shown in this session, and messages that came while a cell ran.
#[derive(Default)]
struct Open {
    groups: Vec<Group>,
    /// From a comm's name to its group and control.
    comms: HashMap<String, (usize, usize)>,
    settings: HashMap<String, f64>,
    waiting: VecDeque<(u64, usize)>,
}

thread_local! {
    // All cells run on one thread of one process, and the cells share this library: so there is one of these.
    static OPEN: RefCell<Open> = RefCell::default();
}

/// Tells the front-end of the controls, in a box, and remembers them.
fn open(controls: Vec<Control>, drawing: Option<Drawing>) {
    listen_also(poll);
    let metadata = json!({ "version": "2.1.0" });
    let open_comm = |id: &str, mut state: Map<String, Value>, layout: Option<&str>| {
        if let Some(layout) = layout {
            state.insert("layout".into(), format!("IPY_MODEL_{layout}").into());
        }
        let data = json!({ "state": state, "buffer_paths": [] });
        let data = data.as_object().cloned().unwrap_or_default();
        let target = "jupyter.widget".to_owned();
        send(&FromCell::CommOpen { id: id.to_owned(), target, metadata: metadata.clone(), data });
    };
    let open_layout = |width: Option<&str>| {
        let id = unique_id("layout");
        let mut state = widget("@jupyter-widgets/base", "2.0.0", "LayoutModel", "LayoutView");
        if let Some(width) = width {
            state.insert("width".into(), width.into());
        }
        open_comm(&id, state, None);
        id
    };
    let mut children = Vec::new();
    let mut ids = Vec::new();
    for control in &controls {
        let layout = open_layout(Some("28em"));
        let style = unique_id("style");
        let name = control.state["_model_name"].as_str().unwrap_or_default();
        let style_model = if name.ends_with("SliderModel") { "SliderStyleModel" } else { "DescriptionStyleModel" };
        let mut look = widget("@jupyter-widgets/controls", "2.0.0", style_model, "StyleView");
        look.insert("_view_module".into(), "@jupyter-widgets/base".into());
        look.insert("description_width".into(), "9em".into());
        open_comm(&style, look, None);
        let id = unique_id("control");
        let mut state = control.state.clone();
        state.insert("style".into(), format!("IPY_MODEL_{style}").into());
        open_comm(&id, state, Some(&layout));
        children.push(format!("IPY_MODEL_{id}"));
        ids.push(id);
    }
    let layout = open_layout(None);
    let root = unique_id("box");
    let mut state = widget("@jupyter-widgets/controls", "2.0.0", "VBoxModel", "VBoxView");
    state.insert("children".into(), json!(children));
    open_comm(&root, state, Some(&layout));
    let shown: Vec<String> = controls.iter().map(|control| format!("{}: {}", control.name, control.value())).collect();
    let mut data = Bundle::new();
    data.insert("text/plain".into(), shown.join("\n").into());
    let view = json!({ "version_major": 2, "version_minor": 0, "model_id": root });
    data.insert("application/vnd.jupyter.widget-view+json".into(), view);
    send(&FromCell::Display { data, id: None });
    OPEN.with_borrow_mut(|open| {
        let group = open.groups.len();
        for (number, id) in ids.into_iter().enumerate() {
            open.comms.insert(id, (group, number));
        }
        for control in &controls {
            if let Some(value) = control.value().as_f64() {
                open.settings.insert(control.name.clone(), value);
            }
        }
        open.groups.push(Group { controls, drawing });
    });
}

/// The value of a slider by its name.
pub(crate) fn setting(name: &str) -> Option<f64> {
    OPEN.with_borrow(|open| open.settings.get(name).copied())
}

/// Takes what the front-end has said while a cell runs. Values are taken over at once; what draws has to wait for
/// the cell's end, because it may need what the cell is changing.
pub(crate) fn poll() {
    while let Some(message) = receive() {
        take(message);
    }
}

/// Takes one message of the front-end.
pub(crate) fn take(message: ToCell) {
    let ToCell::Comm { number, id, data } = message else { return };
    let group = OPEN.with_borrow_mut(|open| {
        let (group, control) = *open.comms.get(&id)?;
        let changed = data.get("state").and_then(Value::as_object)?;
        let control = &mut open.groups[group].controls[control];
        control.state.extend(changed.clone());
        if let Some(value) = control.value().as_f64() {
            let name = control.name.clone();
            open.settings.insert(name, value);
        }
        open.groups[group].drawing.is_some().then_some(group)
    });
    match group {
        Some(group) => OPEN.with_borrow_mut(|open| open.waiting.push_back((number, group))),
        None => _ = send(&FromCell::Handled { number }),
    }
}

/// Draws what waits to be drawn; of several changes of one group only the last is.
pub(crate) fn draw_waiting() {
    while let Some((number, group)) = OPEN.with_borrow_mut(|open| open.waiting.pop_front()) {
        let newer = OPEN.with_borrow(|open| open.waiting.iter().any(|(_, other)| *other == group));
        if !newer {
            draw(group);
        }
        send(&FromCell::Handled { number });
    }
}

fn draw(group: usize) {
    let taken = OPEN.with_borrow_mut(|open| {
        let group = open.groups.get_mut(group)?;
        let drawing = group.drawing.as_mut()?;
        Some((drawing.id.clone(), drawing.draw.take()?, values(&group.controls)))
    });
    let Some((id, mut closure, values)) = taken else { return };
    // The closure may show things or open controls itself, so nothing is borrowed while it runs.
    let data = catch_unwind(AssertUnwindSafe(|| closure(&values)))
        .unwrap_or_else(|_| "the closure panicked; its message stands in the kernel's log".into_bundle());
    send(&FromCell::Update { data, id });
    OPEN.with_borrow_mut(|open| {
        if let Some(drawing) = open.groups.get_mut(group).and_then(|group| group.drawing.as_mut()) {
            drawing.draw = Some(closure);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let group =
            Interact::new().slider("temperature", 0.1..=2.0, 0.8).whole("layer", 0..=3, 9).menu("prompt", &["a", "b"]);
        let values = values(&group.controls);
        assert_eq!(values.number("temperature"), 0.8);
        assert_eq!(values.whole("layer"), 3, "a value outside the range is moved into it");
        assert_eq!(values.text("prompt"), "a");
        assert_eq!((values.number("unknown"), values.text("unknown")), (0.0, ""));
    }

    #[test]
    fn what_a_model_wrote_is_shown_without_what_would_act_on_a_page() {
        let bundle = "a\u{1b}[31m<b>\u{7}\n".into_bundle();
        assert_eq!(bundle["text/plain"], "a\\x1b[31m<b>\\x07\n");
        let html = bundle["text/html"].as_str().unwrap();
        assert!(html.contains("a\\x1b[31m&lt;b&gt;\\x07"), "{html}");
    }

    #[test]
    fn a_message_changes_the_value_and_draws_once_for_many() {
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = count.clone();
        let control = Interact::new().menu("prompt", &["a", "b"]).controls;
        let draw = Box::new(move |values: &Values| {
            seen.set(seen.get() + 1);
            values.text("prompt").into_bundle()
        });
        OPEN.with_borrow_mut(|open| {
            open.comms.insert("c".into(), (0, 0));
            open.groups.push(Group { controls: control, drawing: Some(Drawing { id: "d".into(), draw: Some(draw) }) });
        });
        for number in 0..3 {
            let data = json!({ "method": "update", "state": { "index": 1 } });
            take(ToCell::Comm { number, id: "c".into(), data: data.as_object().cloned().unwrap() });
        }
        draw_waiting();
        assert_eq!(count.get(), 1);
        assert_eq!(OPEN.with_borrow(|open| open.groups[0].controls[0].value()), json!("b"));
    }
}
