//! Which colour a number has: one scale for each quantity, the same in every picture.
//!
//! | quantity | scale | why |
//! |---|---|---|
//! | weights | cividis from 0 to 1, by the square root | shares of one attention: comparable everywhere, small ones visible |
//! | probabilities | viridis from 0 to 1, by the square root | the same |
//! | scores | blue, white, orange, centred on 0 | for and against |
//! | numbers | purple, white, green, centred on 0 | what flows through a model has a sign, and 0 means nothing |
//! | bits | white to red from 0 to 8 | 8 bits is guessing among 256 characters |
//! | range | viridis from the smallest to the largest | anything else |
//!
//! All can be told apart by the colour-blind: lightness alone orders them, on each side of the centre. What is no
//! finite number has colours of its own, outside every scale.

pub use crate::numbers::Quantity;
use plotters::style::RGBColor;

/// −∞, as masked scores have it.
pub(crate) const MINUS_INFINITY: RGBColor = RGBColor(128, 128, 128);
/// ∞.
pub(crate) const INFINITY: RGBColor = RGBColor(190, 190, 190);
/// Not a number.
pub(crate) const NOT_A_NUMBER: RGBColor = RGBColor(216, 27, 160);

/// Nuñez et al. 2018, "Optimizing colormaps with consideration for color vision deficiency".
const CIVIDIS: [u32; 11] =
    [0x00224e, 0x123570, 0x2b446e, 0x48536c, 0x5f636e, 0x757575, 0x8c8677, 0xa59c74, 0xc2b369, 0xe1cc55, 0xfee838];
const VIRIDIS: [u32; 9] = [0x440154, 0x472c7a, 0x3b518b, 0x2c718e, 0x21908d, 0x27ad81, 0x5cc863, 0xaadc32, 0xfde725];
const BLUE_ORANGE: [u32; 7] = [0x12437d, 0x3d7fbd, 0x9fc5e6, 0xf6f6f4, 0xf6bd83, 0xd07925, 0x823d05];
const PURPLE_GREEN: [u32; 7] = [0x4a1a6b, 0x865aa6, 0xc4aad6, 0xf6f6f4, 0xa7d6a5, 0x439653, 0x0b4f22];
const REDS: [u32; 5] = [0xfff7ec, 0xfdd0a2, 0xf58f5c, 0xd13d2a, 0x7f0d0d];

/// The colours of one picture's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    quantity: Quantity,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Scale {
    /// The scale of a quantity; only those without fixed ends look at the numbers.
    pub(crate) fn new(quantity: Quantity, numbers: &[f64]) -> Scale {
        let finite = || numbers.iter().copied().filter(|number| number.is_finite());
        let (low, high) = match quantity {
            Quantity::Weights | Quantity::Probabilities => (0.0, 1.0),
            Quantity::Bits => (0.0, 8.0),
            Quantity::Scores | Quantity::Numbers => {
                let largest = finite().fold(0.0, |largest: f64, number| largest.max(number.abs()));
                let largest = if largest > 0.0 { largest } else { 1.0 };
                (-largest, largest)
            }
            Quantity::Range => {
                let low = finite().fold(f64::INFINITY, f64::min);
                let high = finite().fold(f64::NEG_INFINITY, f64::max);
                if low <= high { (low, high) } else { (0.0, 1.0) }
            }
        };
        Scale { quantity, low, high }
    }

    /// Where a finite number stands on the scale, from 0 (the low end) to 1.
    pub(crate) fn place(self, number: f64) -> f64 {
        let span = self.high - self.low;
        let share = if span > 0.0 { ((number - self.low) / span).clamp(0.0, 1.0) } else { 0.0 };
        match self.quantity {
            Quantity::Weights | Quantity::Probabilities => share.sqrt(),
            _ => share,
        }
    }

    /// The colour of a number.
    pub(crate) fn colour(self, number: f64) -> RGBColor {
        match number {
            number if number.is_finite() => self.at(self.place(number)),
            f64::INFINITY => INFINITY,
            f64::NEG_INFINITY => MINUS_INFINITY,
            _ => NOT_A_NUMBER,
        }
    }

    /// The colour at a place from 0 to 1.
    pub(crate) fn at(self, place: f64) -> RGBColor {
        let anchors: &[u32] = match self.quantity {
            Quantity::Weights => &CIVIDIS,
            Quantity::Probabilities | Quantity::Range => &VIRIDIS,
            Quantity::Scores => &BLUE_ORANGE,
            Quantity::Numbers => &PURPLE_GREEN,
            Quantity::Bits => &REDS,
        };
        let along = place.clamp(0.0, 1.0) * (anchors.len() - 1) as f64;
        let below = (along as usize).min(anchors.len() - 2);
        let share = along - below as f64;
        let part = |shift: u32| {
            let [a, b] = [anchors[below], anchors[below + 1]].map(|anchor| f64::from(anchor >> shift & 0xff));
            (a + (b - a) * share).round() as u8
        };
        RGBColor(part(16), part(8), part(0))
    }

    /// The numbers to write beside the scale, from high to low.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self.quantity {
            Quantity::Weights | Quantity::Probabilities => vec![1.0, 0.5, 0.25, 0.1, 0.0],
            Quantity::Bits => vec![8.0, 4.0, 0.0],
            Quantity::Scores | Quantity::Numbers => vec![self.high, 0.0, self.low],
            Quantity::Range => vec![self.high, self.low],
        }
    }

    /// 256 colours for a bitmap: the scale, and behind it −∞, ∞ and NaN.
    pub(crate) fn palette(self) -> Vec<RGBColor> {
        let mut colours: Vec<RGBColor> =
            (0..SHADES).map(|shade| self.at(f64::from(shade) / f64::from(LAST_SHADE))).collect();
        colours.extend([MINUS_INFINITY, INFINITY, NOT_A_NUMBER]);
        colours
    }

    /// The place of a number's colour in the palette.
    pub(crate) fn shade(self, number: f64) -> u8 {
        match number {
            number if number.is_finite() => (self.place(number) * f64::from(LAST_SHADE)).round() as u8,
            f64::NEG_INFINITY => SHADES,
            f64::INFINITY => SHADES + 1,
            _ => SHADES + 2,
        }
    }
}

/// Places of the palette that are the scale.
const SHADES: u8 = LAST_SHADE + 1;
pub(crate) const LAST_SHADE: u8 = 252;

/// A colour as CSS writes it.
pub(crate) fn css(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Black or white, whichever is read better on a colour: with a contrast of at least 4.5 to 1.
pub(crate) fn ink_on(colour: RGBColor) -> &'static str {
    // Where both have the same contrast: (1 + 0.05) / (light + 0.05) = (light + 0.05) / 0.05.
    if luminance(colour) > 0.179 { "#000" } else { "#fff" }
}

/// How light a colour is, from 0 to 1 (WCAG 2's relative luminance).
fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(RGBColor(red, green, blue): RGBColor) -> f64 {
        0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)
    }

    #[test]
    fn lightness_alone_orders_each_scale() {
        for quantity in [Quantity::Weights, Quantity::Probabilities, Quantity::Range, Quantity::Bits] {
            let scale = Scale::new(quantity, &[0.0, 1.0]);
            let shades: Vec<f64> = (0..=100).map(|step| lightness(scale.at(f64::from(step) / 100.0))).collect();
            let (up, down) = (shades.is_sorted(), shades.is_sorted_by(|a, b| a >= b));
            assert!(up || down, "{quantity:?}: {shades:?}");
        }
        for quantity in [Quantity::Scores, Quantity::Numbers] {
            let scale = Scale::new(quantity, &[-3.0, 1.0]);
            let shades: Vec<f64> = (0..=100).map(|step| lightness(scale.at(f64::from(step) / 100.0))).collect();
            assert!(shades[..=50].is_sorted() && shades[50..].is_sorted_by(|a, b| a >= b), "{quantity:?}");
        }
    }

    #[test]
    fn ink_can_be_read_on_every_colour() {
        let greys = (0..=255).map(|grey| RGBColor(grey, grey, grey));
        let scales = [Quantity::Weights, Quantity::Probabilities, Quantity::Bits, Quantity::Scores, Quantity::Numbers];
        let shades = scales.into_iter().flat_map(|quantity| Scale::new(quantity, &[-1.0, 1.0]).palette());
        for colour in greys.chain(shades) {
            let light = if ink_on(colour) == "#fff" { 1.05 } else { 0.05 };
            let (ink, paper) = (light, luminance(colour) + 0.05);
            let contrast = f64::max(ink, paper) / f64::min(ink, paper);
            assert!(contrast >= 4.5, "{} on {}: {contrast}", ink_on(colour), css(colour));
        }
    }

    #[test]
    fn zero_is_the_middle_of_what_has_a_sign() {
        let scale = Scale::new(Quantity::Scores, &[-1.0, 5.0]);
        assert_eq!(scale.colour(0.0), scale.at(0.5));
        assert_eq!((scale.low, scale.high), (-5.0, 5.0));
    }

    #[test]
    fn what_is_no_number_has_a_colour_of_its_own() {
        let scale = Scale::new(Quantity::Numbers, &[f64::NAN, f64::INFINITY]);
        let colours = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0].map(|number| css(scale.colour(number)));
        let different: std::collections::HashSet<_> = colours.iter().collect();
        assert_eq!(different.len(), 4);
        let palette = scale.palette();
        assert_eq!(palette.len(), 256);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1.0] {
            assert_eq!(palette[scale.shade(number) as usize], scale.colour(number));
        }
    }
}
