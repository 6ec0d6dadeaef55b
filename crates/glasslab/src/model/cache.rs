//! The KV cache: what attention has computed of a text need not be computed again.
//!
//! A character's keys and values depend on no later character. So while a text grows, they are kept, and each
//! new character costs one query against the kept keys instead of a forward pass over the whole text.

use crate::error::{Error, Result};
use std::any::Any;
use tch::{Device, Kind, Tensor};

/// A new cache has room for so many characters, if the context is not shorter.
const ROOM: i64 = 256;

/// The keys and values of one attention, for the characters read so far.
#[derive(Debug)]
pub struct KvCache {
    /// (B, K, T, D): the first `len` of the T places are filled; T doubles when they don't suffice
    pub keys: Tensor,
    /// (B, K, T, D)
    pub values: Tensor,
    /// How many characters it holds.
    pub len: i64,
    /// How many characters it can hold.
    pub context_len: i64,
}

impl KvCache {
    /// An empty cache for at most `context_len` characters of each of `batch` texts, in the precision in which attention is
    /// computed. Room is made for them as they come.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(
        batch: i64,
        n_kv_heads: i64,
        context_len: i64,
        head_dim: i64,
        options: (Kind, Device),
    ) -> Result<KvCache> {
        let room = || Tensor::f_zeros([batch, n_kv_heads, context_len.min(ROOM), head_dim], options);
        Ok(KvCache { keys: room()?, values: room()?, len: 0, context_len })
    }

    /// Adds the keys and values of the next characters, and gives all of them.
    ///
    /// # Shapes
    /// `keys`, `values`: (B, K, T, D) → (B, K, `len`, D) each, T longer than before
    ///
    /// # Errors
    /// If there is no room, or B, K or D is another than at its making.
    pub fn extend(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let new = keys.size().get(2).copied().unwrap_or(0);
        self.make_room(new)?;
        self.keys.f_narrow(2, self.len, new)?.f_copy_(keys)?;
        self.values.f_narrow(2, self.len, new)?.f_copy_(values)?;
        self.len += new;
        Ok((self.keys.f_narrow(2, 0, self.len)?, self.values.f_narrow(2, 0, self.len)?))
    }

    /// Makes room for so many more characters.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn make_room(&mut self, new: i64) -> Result<()> {
        let (len, most) = (self.len + new, self.context_len);
        if len > most {
            return Err(Error::Shape {
                expected: format!("at most {most} characters (context_len)"),
                got: format!("{} in the cache and {new} new ones", self.len),
                hint: "start a new cache with the last characters of the text".to_owned(),
            });
        }
        let room = self.keys.size()[2];
        if len > room {
            let larger = len.max(2 * room).min(most);
            (self.keys, self.values) = (self.moved(&self.keys, larger)?, self.moved(&self.values, larger)?);
        }
        Ok(())
    }

    /// What is filled of keys or values, with room for so many characters.
    fn moved(&self, x: &Tensor, room: i64) -> Result<Tensor> {
        let (batch, n_kv_heads, _, head_dim) = x.size4()?;
        let larger = Tensor::f_zeros([batch, n_kv_heads, room, head_dim], (x.kind(), x.device()))?;
        larger.f_narrow(2, 0, self.len)?.f_copy_(&x.f_narrow(2, 0, self.len)?)?;
        Ok(larger)
    }
}

/// The caches of a model's blocks.
#[derive(Debug, Default)]
pub struct Cache {
    /// One for each block, in order.
    pub blocks: Vec<KvCache>,
    /// How many characters the model has read.
    pub len: i64,
    /// The last characters, where a model has rows for groups of them: (B, longest − 1) ids, −1 before the text.
    pub(super) recent: Option<Tensor>,
    /// What a model has laid out for itself when it first read: its numbers, as they were then, so whoever changes it takes a new
    /// cache, or clears this one.
    pub(super) prepared: Option<Box<dyn Any + Send>>,
}

impl Cache {
    /// Forgets all characters, and what a model has laid out for itself.
    pub fn clear(&mut self) {
        self.rewind();
        self.prepared = None;
    }

    /// Forgets all characters; the model is still the one that it was.
    pub(crate) fn rewind(&mut self) {
        self.len = 0;
        self.recent = None;
        self.blocks.iter_mut().for_each(|block| block.len = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_it_is_needed_and_never_more_than_the_context() {
        let options = (Kind::Float, Device::Cpu);
        for parts in [&[1000][..], &[1, 255, 1, 300, 443], &[256, 256, 256, 232]] {
            let mut cache = KvCache::new(2, 1, 1000, 3, options).unwrap();
            assert_eq!(cache.keys.size(), [2, 1, ROOM, 3]);
            let all = Tensor::arange(6000, options).view([2, 1, 1000, 3]);
            let mut first = 0;
            for &count in parts {
                let (new, room) = (all.narrow(2, first, count), cache.keys.size()[2]);
                let (keys, values) = cache.extend(&new, &(&new + 1)).unwrap();
                first += count;
                assert_eq!(keys, all.narrow(2, 0, first));
                assert_eq!(values, &keys + 1);
                let now = cache.keys.size()[2];
                assert!(now == room || first > room && (now == 2 * room || now == first || now == 1000), "{now}");
            }
            assert_eq!(cache.keys.size(), [2, 1, 1000, 3]);
            assert!(cache.extend(&all.narrow(2, 0, 1), &all.narrow(2, 0, 1)).is_err());
        }
    }

    #[test]
    fn it_gives_back_all_that_was_put_in_and_refuses_what_has_no_room() {
        let mut cache = KvCache::new(2, 1, 5, 3, (Kind::Float, Device::Cpu)).unwrap();
        let all = Tensor::arange(36, (Kind::Float, Device::Cpu)).view([2, 1, 6, 3]);
        let part = |first, count| all.narrow(2, first, count);
        let _ = cache.extend(&part(0, 3), &part(0, 3)).unwrap();
        let (keys, values) = cache.extend(&part(3, 2), &part(3, 2)).unwrap();
        assert_eq!(keys, part(0, 5));
        assert_eq!(values, part(0, 5));
        let message = cache.extend(&part(5, 1), &part(5, 1)).unwrap_err().to_string();
        assert!(message.contains("at most 5 characters") && message.contains("new cache"), "{message}");
    }
}
