//! Sliders that live without a kernel: what the closure makes of the controls' values, computed beforehand and kept in the
//! notebook as one block of HTML that needs nothing but itself.
//!
//! Not every combination can be kept. Computed is a star: the values that the controls begin with, and from there each
//! control moved alone. Where another combination is chosen, the block says so and shows the nearest. Where scripts don't
//! run, the first picture stands.

use super::controls::{Control, Draw, Values, values};
use crate::display::{escape, html_bundle, json_in_script};
use crate::stopping::should_stop;
use glasslab_wire::Bundle;
use serde_json::{Value, json};

/// The environment variable that says how many states are to be computed, at most. Where it is not set, none are.
pub(super) const STATES: &str = "GLASSLAB_STATES";

const SCRIPT: &str = include_str!("states.js");
const STYLE: &str = ".glasslab-states{font:14px/1.45 system-ui,sans-serif;max-width:1180px}\
    .glasslab-states .g-bar{display:grid;grid-template-columns:max-content minmax(0,max-content) auto;gap:6px 14px;\
    align-items:center;margin:6px 0;width:max-content;max-width:100%}\
    .glasslab-states select,.glasslab-states button{font:inherit;color:inherit;background:rgba(128,128,128,.12);\
    border:1px solid rgba(128,128,128,.5);border-radius:4px;padding:2px 8px}\
    .glasslab-states option{color:#111;background:#fff}\
    .glasslab-states :focus-visible{outline:3px solid #e69f00;outline-offset:1px}\
    .glasslab-states input{width:240px;max-width:100%}\
    .glasslab-states b{font-variant-numeric:tabular-nums}\
    .glasslab-states .g-told{min-height:1.5em}";

/// How many states are wanted.
pub(super) fn wanted() -> Option<usize> {
    std::env::var(STATES).ok()?.parse().ok()
}

/// The places where a control can stand: the change of its state, and how that reads.
struct Axis {
    places: Vec<(Value, String)>,
    /// Where it stands at first.
    start: usize,
}

impl Axis {
    /// A control's start and up to `others` more places, evenly spread, its ends among them.
    fn of(control: &Control, others: usize) -> Axis {
        let (all, start) = all_places(control);
        let rest: Vec<usize> = (0..all.len()).filter(|place| *place != start).collect();
        let others = others.min(rest.len());
        let mut kept: Vec<usize> = (0..others)
            .map(|number| match others {
                1 => rest[rest.len() - 1],
                _ => rest[(number * (rest.len() - 1) + (others - 1) / 2) / (others - 1)],
            })
            .collect();
        kept.push(start);
        kept.sort_unstable();
        let place = kept.iter().position(|place| *place == start).unwrap_or(0);
        Axis { places: kept.into_iter().map(|place| all[place].clone()).collect(), start: place }
    }
}

/// Every place of a control, in order, and which of them it begins at.
fn all_places(control: &Control) -> (Vec<(Value, String)>, usize) {
    let number = |key: &str| control.state.get(key).and_then(Value::as_f64);
    let change = |value: Value| json!({ "value": value });
    match (&control.options, number("min"), number("max"), number("step"), number("value")) {
        (Some(options), ..) => {
            let start = control.state.get("index").and_then(Value::as_u64).unwrap_or(0) as usize;
            let places = options.iter().enumerate().map(|(index, label)| (json!({ "index": index }), label.clone()));
            (places.collect(), start.min(options.len().saturating_sub(1)))
        }
        (None, Some(low), Some(high), Some(step), Some(value)) if step > 0.0 && high > low => {
            let base = number("base");
            let is_whole = control.state.get("value").is_some_and(Value::is_i64);
            let steps = ((high - low) / step).round() as i64;
            let mut places: Vec<(Value, String)> = (0..=steps)
                .map(|place| {
                    let at = low + place as f64 * step;
                    let at = base.map_or(at, |base| base.powf(at));
                    let at = if is_whole { json!(at.round() as i64) } else { json!(rounded(at)) };
                    let label = label(&at, base.is_some());
                    (change(at), label)
                })
                .collect();
            // What it begins at may stand between two steps.
            let far = |place: &(Value, String)| (place.0["value"].as_f64().unwrap_or(0.0) - value).abs();
            let start = (0..places.len()).min_by(|one, other| far(&places[*one]).total_cmp(&far(&places[*other])));
            let start = start.unwrap_or(0);
            let exact = control.value();
            places[start] = (change(exact.clone()), label(&exact, base.is_some()));
            (places, start)
        }
        // A field for text, or a slider with one place.
        _ => (vec![(json!({}), told(&control.value()))], 0),
    }
}

/// Without the noise in its last digits: 0.1 + 2 · 0.019.
fn rounded(number: f64) -> f64 {
    format!("{number:.9e}").parse().unwrap_or(number)
}

/// A value as the slider's own readout shows it.
fn label(value: &Value, in_magnitudes: bool) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && in_magnitudes => format!("{number:.2e}"),
        Some(number) if value.is_f64() => format!("{number:.2}"),
        _ => told(value),
    }
}

fn told(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How many places besides its start each control gets, of `budget` together: all that it has if there is room, else a fair part.
fn shares(wishes: &[usize], budget: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|control| wishes[*control]);
    let (mut shares, mut left) = (vec![0; wishes.len()], budget);
    for (done, control) in order.into_iter().enumerate() {
        shares[control] = wishes[control].min(left / (wishes.len() - done));
        left -= shares[control];
    }
    shares
}

/// Draws at most `most` states, at least the first, and puts them into one block.
pub(super) fn compute(controls: &[Control], most: usize, draw: &mut Draw) -> Bundle {
    let wishes: Vec<usize> = controls.iter().map(|control| all_places(control).0.len().saturating_sub(1)).collect();
    let shares = shares(&wishes, most.saturating_sub(1));
    let axes: Vec<Axis> = controls.iter().zip(shares).map(|(control, share)| Axis::of(control, share)).collect();
    let start: Vec<usize> = axes.iter().map(|axis| axis.start).collect();
    let mut draw_at = |at: &[usize]| {
        let mut moved = controls.to_vec();
        for (control, (axis, place)) in moved.iter_mut().zip(axes.iter().zip(at)) {
            if let Some(change) = axis.places[*place].0.as_object() {
                control.state.extend(change.clone());
            }
        }
        draw(&values(&moved))
    };
    let first = draw_at(&start);
    let mut states = vec![(start.clone(), block(&first))];
    'star: for (control, axis) in axes.iter().enumerate() {
        for place in (0..axis.places.len()).filter(|place| *place != axis.start) {
            if should_stop() {
                break 'star;
            }
            let mut at = start.clone();
            at[control] = place;
            let html = block(&draw_at(&at));
            states.push((at, html));
        }
    }
    together(controls, &axes, &states, &first)
}

/// What is shown at one state, as HTML.
fn block(shown: &Bundle) -> String {
    let text = |form: &str| shown.get(form).and_then(Value::as_str);
    match (text("image/svg+xml"), text("text/html"), text("text/plain")) {
        // Part of the page, so that its text takes the page's colour.
        (Some(svg), _, alt) => {
            format!("<div role='img' aria-label='{}'>{svg}</div>", escape(alt.unwrap_or_default()))
        }
        (None, Some(html), _) => html.to_owned(),
        (None, None, alt) => format!("<pre style=\"white-space:pre-wrap\">{}</pre>", escape(alt.unwrap_or_default())),
    }
}

fn together(controls: &[Control], axes: &[Axis], states: &[(Vec<usize>, String)], first: &Bundle) -> Bundle {
    let Values(values) = values(controls);
    let values: Vec<String> = values.iter().map(|(name, value)| format!("{name}: {}", told(value))).collect();
    let text = |form: &str| first.get(form).and_then(Value::as_str).unwrap_or_default();
    let still = match text("text/html") {
        "" => block(first),
        html => html.to_owned(),
    };
    let parts = controls.iter().zip(axes).map(|(control, axis)| {
        let labels: Vec<&str> = axis.places.iter().map(|(_, label)| label.as_str()).collect();
        json!({ "name": control.name, "menu": control.options.is_some(), "places": labels, "start": axis.start })
    });
    let key = |at: &[usize]| at.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let states: serde_json::Map<_, _> = states.iter().map(|(at, html)| (key(at), json!(html))).collect();
    let data = json!({ "controls": parts.collect::<Vec<_>>(), "states": states });
    let html = format!(
        "<div class=\"glasslab-states\"><style>{STYLE}</style><div class=\"g-still\"><p>{}</p>{still}</div>\
         <script type=\"application/json\">{}</script><script>{SCRIPT}</script></div>",
        escape(&values.join(" · ")),
        json_in_script(&data.to_string())
    );
    html_bundle(html, format!("{}\n\n{}", values.join("\n"), text("text/plain")))
}

#[cfg(test)]
mod tests {
    use super::super::{Interact, Shown};
    use super::*;

    /// The block of these controls, what it holds, and the values that the closure was called with.
    fn computed(controls: Interact, most: usize) -> (String, Value, Vec<Vec<Value>>) {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let kept = seen.clone();
        let mut draw: Draw = Box::new(move |Values(values)| {
            kept.borrow_mut().push(values.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>());
            format!("<{}>", told(&values[0].1)).into_bundle()
        });
        let bundle = compute(&controls.controls, most, &mut draw);
        let html = bundle["text/html"].as_str().unwrap().to_owned();
        let data = html.split("<script type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data = serde_json::from_str(data).unwrap();
        drop(draw);
        (html, data, seen.take())
    }

    #[test]
    fn a_star_is_computed_from_where_the_controls_begin() {
        let controls = Interact::new().whole("layers", 0..=2, 1).menu("width", &["12", "6"]);
        let (_, data, seen) = computed(controls, 100);
        assert_eq!(
            seen,
            [[json!(1), json!("12")], [json!(0), json!("12")], [json!(2), json!("12")], [json!(1), json!("6")]]
        );
        let states: Vec<&String> = data["states"].as_object().unwrap().keys().collect();
        assert_eq!(states, ["0,0", "1,0", "1,1", "2,0"]);
        assert_eq!(
            data["controls"][0],
            json!({ "name": "layers", "menu": false, "places": ["0", "1", "2"], "start": 1 })
        );
        assert_eq!(data["controls"][1], json!({ "name": "width", "menu": true, "places": ["12", "6"], "start": 0 }));
        assert!(data["states"]["2,0"].as_str().unwrap().contains("&lt;2&gt;"));
    }

    #[test]
    fn no_more_states_are_computed_than_asked_for_and_sliders_are_thinned_to_that() {
        let controls = || Interact::new().slider("temperature", 0.0..=2.0, 0.5).menu("prompt", &["a", "b", "c"]);
        for most in [0, 1, 2, 5, 13, 40] {
            let (_, data, seen) = computed(controls(), most);
            assert!(seen.len() <= most.max(1), "{most}: {}", seen.len());
            assert!(seen.len() + 1 >= most, "{most}: {}", seen.len());
            assert_eq!(data["states"].as_object().unwrap().len(), seen.len(), "none is computed twice");
        }
        let (_, data, seen) = computed(controls(), 13);
        let places: Vec<&str> =
            data["controls"][0]["places"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(places.len(), 11);
        assert_eq!((places[0], places[10]), ("0.00", "2.00"), "the ends are kept");
        assert_eq!(places[data["controls"][0]["start"].as_u64().unwrap() as usize], "0.50", "and the start");
        assert_eq!(seen[0], [json!(0.5), json!("a")]);
        assert!(places.is_sorted());
    }

    #[test]
    fn a_slider_of_magnitudes_keeps_what_it_begins_at_and_a_field_has_one_place() {
        let controls = Interact::new().log_slider("rate", -4.0..=-1.0, 0.003).field("prompt", "Once");
        let (_, data, seen) = computed(controls, 4);
        assert_eq!(seen[0], [json!(0.003), json!("Once")]);
        assert_eq!(data["controls"][0]["places"], json!(["1.00e-4", "3.00e-3", "3.39e-3", "1.00e-1"]));
        assert_eq!(data["controls"][1], json!({ "name": "prompt", "menu": false, "places": ["Once"], "start": 0 }));
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn nothing_in_a_name_an_option_or_a_state_becomes_markup_of_the_page() {
        let hostile = "</script><script>alert(1)</script>";
        let (html, data, _) = computed(Interact::new().menu(hostile, &[hostile, "b"]), 5);
        assert_eq!(html.matches("<script").count(), 2, "{html}");
        assert!(!html.contains("<script>alert"));
        assert_eq!(data["controls"][0]["name"], hostile);
    }

    #[test]
    fn without_scripts_the_first_state_stands_with_its_values() {
        let (html, _, _) = computed(Interact::new().whole("layers", 0..=2, 1), 3);
        let still = html.split("<script").next().unwrap();
        assert!(still.contains("layers: 1") && still.contains("&lt;1&gt;"), "{still}");
    }
}
