//! The KV cache: what attention has computed of a text need not be computed again.
//!
//! A character's keys and values depend on no later character. So while a text grows, they are kept, and each
//! new character costs one query against the kept keys instead of a forward pass over the whole text.

use crate::error::{Error, Result};
use tch::{Device, Kind, Tensor};

/// The keys and values of one attention, for the characters read so far.
#[derive(Debug)]
pub struct KvCache {
    /// (B, K, T, D): the first `len` of the T places are filled
    pub keys: Tensor,
    /// (B, K, T, D)
    pub values: Tensor,
    /// How many characters it holds.
    pub len: i64,
}

impl KvCache {
    /// An empty cache for `context_len` characters of each of `batch` texts, in the precision in which attention is
    /// computed.
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
        let room = || Tensor::f_zeros([batch, n_kv_heads, context_len, head_dim], options);
        Ok(KvCache { keys: room()?, values: room()?, len: 0 })
    }

    /// Adds the keys and values of the next characters, and gives all of them.
    ///
    /// # Shapes
    /// `keys`, `values`: (B, K, T, D) → (B, K, `len`, D) each, T longer than before
    ///
    /// # Errors
    /// If there is no room, or B, K or D is another than at its making.
    pub fn extend(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (new, room) = (keys.size().get(2).copied().unwrap_or(0), self.keys.size()[2]);
        let len = self.len + new;
        if len > room {
            return Err(Error::Shape {
                expected: format!("at most {room} characters (context_len)"),
                got: format!("{} in the cache and {new} new ones", self.len),
                hint: "start a new cache with the last characters of the text".to_owned(),
            });
        }
        self.keys.f_narrow(2, self.len, new)?.f_copy_(keys)?;
        self.values.f_narrow(2, self.len, new)?.f_copy_(values)?;
        self.len = len;
        Ok((self.keys.f_narrow(2, 0, len)?, self.values.f_narrow(2, 0, len)?))
    }
}

/// The caches of a model's blocks.
#[derive(Debug, Default)]
pub struct Cache {
    /// One for each block, in order.
    pub blocks: Vec<KvCache>,
    /// How many characters the model has read.
    pub len: i64,
}

impl Cache {
    /// Forgets all characters.
    pub fn clear(&mut self) {
        self.len = 0;
        self.blocks.iter_mut().for_each(|block| block.len = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
