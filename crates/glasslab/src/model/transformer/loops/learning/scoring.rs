//! The scores of whole texts by the same loops: for text that is measured and not learnt.

use super::layers::{Normed, Room};
use super::{Ids, Lesson, at_once, texts_of_a_thread};
use crate::error::Result;
use crate::model::transformer::TransformerLm;
use crate::slices::walk_mut;
use tch::{Device, Kind, Tensor};

/// The scores from the place `first` on; `None` if texts, model or processor are none for loops, if something is wrong with them, or
/// if gradients are asked for: then the forward pass computes them, or says what.
///
/// # Shapes
/// `ids`: (B, T) → (B, T − first, V)
pub(in super::super::super) fn logits_from(model: &TransformerLm, ids: &Tensor, first: i64) -> Result<Option<Tensor>> {
    if are_gradients_kept() {
        return Ok(None);
    }
    let Some(Ids { known, time, reach, .. }) = Ids::of(model, ids)? else { return Ok(None) };
    let Some(places @ 1..) = usize::try_from(first).ok().and_then(|first| time.checked_sub(first)) else {
        return Ok(None);
    };
    let Some(mut lesson) = Lesson::of(model) else { return Ok(None) };
    lesson.lay(false);
    let (texts, vocab) = (known.len() / reach, model.config.n_vocab);
    let mut logits = Tensor::f_empty([texts as i64, places as i64, vocab], (Kind::Float, Device::Cpu))?;
    // SAFETY: it is new, and nobody else has a handle to it.
    let out = unsafe { walk_mut(&mut logits) };
    let (each, lesson) = (texts_of_a_thread(texts, usize::MAX), &lesson);
    std::thread::scope(|scope| {
        let out = out.chunks_mut(each * places * vocab as usize);
        for (known, out) in known.chunks(each * reach).zip(out) {
            // SAFETY: the processor has these instructions, as was asked when the lesson was made.
            scope.spawn(move || unsafe { lesson.score(known, time, places, out) });
        }
    });
    Ok(Some(logits))
}

/// Whether what is computed now could be asked for its gradient.
fn are_gradients_kept() -> bool {
    Tensor::from(1.0).set_requires_grad(true).view([1]).requires_grad()
}

impl Lesson<'_> {
    /// The scores of the last `places` of each text.
    ///
    /// # Shapes
    /// `known`: B · (those before that n-grams reach + T) → B · places · V
    #[target_feature(enable = "avx2,fma")]
    fn score(&self, known: &[i64], time: usize, places: usize, out: &mut [f32]) {
        let (width, each, mut room) = (self.width, places * self.head.size[0], Room::open());
        let texts = out.len() / each;
        let (reach, texts) = (known.len() / texts, at_once(texts, time));
        for (known, out) in known.chunks(texts * reach).zip(out.chunks_mut(texts * each)) {
            let mut x = self.tables.read(known, 0, time, width);
            for block in &self.blocks {
                block.forward(self.activation, &mut x, time, &mut room).free(&mut room);
            }
            let mut asked = room.take(x.len() / time * places);
            for (text, asked) in x.chunks_exact(time * width).zip(asked.chunks_exact_mut(places * width)) {
                asked.copy_from_slice(&text[(time - places) * width..]);
            }
            let last = self.last.as_ref().map(|norm| norm.forward(&asked, width, &mut room));
            let logits = self.head.forward(last.as_ref().map_or(&asked, Normed::out), &mut room);
            out.copy_from_slice(&logits);
            last.into_iter().for_each(|normed| normed.free(&mut room));
            room.free(asked);
            room.free(logits);
        }
        room.close();
    }
}
