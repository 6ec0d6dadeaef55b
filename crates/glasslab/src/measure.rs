//! What a model does with a text, in numbers: where its heads look, and what each layer would predict.
//!
//! These look at a model as it is; [`intervene`](crate::intervene) changes it.

mod heads;
mod lens;

pub(crate) use heads::share;
pub use heads::{HeadPatterns, HeadScore, INDUCTION, PATTERNS};
pub use lens::{Lens, LensRow};
