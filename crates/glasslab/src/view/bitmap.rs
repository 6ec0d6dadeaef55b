//! A picture as points of colour, for matrices with too many cells for a rectangle each: PNG in a `data:` address.
//!
//! One byte a point, which names one of 256 colours. The bytes are stored as they are (deflate's "stored" blocks):
//! 128 × 128 points take 22 KB in a page, and no compression library is needed.
//! Source: the PNG specification, W3C 2003; RFC 1950 and 1951.

use super::colour::{LAST_SHADE, Scale};
use plotters::style::RGBColor;

/// A matrix as an image, a point for each number; row after row.
pub(crate) fn image(numbers: &[f64], columns: usize, scale: Scale) -> String {
    let shades: Vec<u8> = numbers.iter().map(|&number| scale.shade(number)).collect();
    data_address(&png(columns, &shades, &scale.palette()))
}

/// All colours of a scale, the highest at the top.
pub(crate) fn ramp(scale: Scale) -> String {
    let shades: Vec<u8> = (0..=LAST_SHADE).rev().step_by(4).collect();
    data_address(&png(1, &shades, &scale.palette()))
}

/// A PNG file of rows of palette places.
fn png(columns: usize, shades: &[u8], palette: &[RGBColor]) -> Vec<u8> {
    let columns = columns.max(1);
    let rows = shades.len() / columns;
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::with_capacity(13);
    header.extend((columns as u32).to_be_bytes());
    header.extend((rows as u32).to_be_bytes());
    header.extend([8, 3, 0, 0, 0]); // eight bits, a palette, no interlacing
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"PLTE", &palette.iter().flat_map(|&RGBColor(r, g, b)| [r, g, b]).collect::<Vec<u8>>());
    let mut raw = Vec::with_capacity(shades.len() + rows);
    for row in shades.chunks_exact(columns) {
        raw.push(0); // the filter: none
        raw.extend_from_slice(row);
    }
    chunk(&mut file, b"IDAT", &stored(&raw));
    chunk(&mut file, b"IEND", &[]);
    file
}

/// Bytes in the zlib format, not compressed.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(0xffff).collect() };
    for (number, block) in blocks.iter().enumerate() {
        out.push(u8::from(number + 1 == blocks.len()));
        out.extend((block.len() as u16).to_le_bytes());
        out.extend((!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
    }
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((b << 16 | a).to_be_bytes()); // Adler-32
    out
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    let sum = crc32(&file[start..]);
    file.extend(sum.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

fn data_address(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// Bytes as text (RFC 4648).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::colour::Quantity;
    use super::*;

    #[test]
    fn sums_and_letters_are_the_standards_own() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(stored(b"Wikipedia")[2 + 5 + 9..], 0x11e6_0398_u32.to_be_bytes());
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_large_picture_is_stored_in_blocks_that_end() {
        let bytes = vec![7; 0xffff + 10];
        let packed = stored(&bytes);
        assert_eq!(packed[2], 0, "the first block is not the last");
        assert_eq!(packed[2 + 5 + 0xffff], 1);
        assert_eq!(packed.len(), 2 + 5 + 0xffff + 5 + 10 + 4);
    }

    #[test]
    fn a_matrix_of_128_by_128_is_small() {
        let numbers = vec![0.5; 128 * 128];
        let address = image(&numbers, 128, Scale::new(Quantity::Weights, &numbers));
        assert!(address.starts_with("data:image/png;base64,iVBOR"), "{}", &address[..40]);
        assert!(address.len() < 25_000, "{}", address.len());
    }
}
