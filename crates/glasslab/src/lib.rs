//! wip
/// p
pub mod prelude {
    pub use tch::{Device, Kind, Tensor};
    /// d
    pub fn thing() -> Result<Vec<String>, std::io::Error> { Ok(vec![String::new()]) }
    /// d
    pub fn tens() -> Result<Tensor, tch::TchError> { Ok(Tensor::from_slice(&[1.0])) }
}
