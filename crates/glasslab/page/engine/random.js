// SplitMix64, a small random number generator (Steele, Lea and Flood 2014): the library's, so that one seed writes one text
// in both. Its 64 bits are two halves of 32, high and low.

export class SplitMix64 {
  // seed: a whole number from 0 on, or its digits as a text where it has more than 53 bits.
  constructor(seed) {
    const bits = BigInt.asUintN(64, BigInt(seed));
    this.high = Number(bits >> 32n);
    this.low = Number(bits & 0xffffffffn);
  }

  // 64 random bits, as two halves.
  bits() {
    [this.high, this.low] = sum64(this.high, this.low, 0x9e3779b9, 0x7f4a7c15);
    let [high, low] = [this.high, this.low];
    [high, low] = times64(...mixed64(high, low, 30), 0xbf58476d, 0x1ce4e5b9);
    [high, low] = times64(...mixed64(high, low, 27), 0x94d049bb, 0x133111eb);
    return mixed64(high, low, 31);
  }

  // A number in [0, 1).
  unit() {
    const [high, low] = this.bits();
    return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53;
  }
}

function sum64(high, low, otherHigh, otherLow) {
  const sum = low + otherLow;
  return [(high + otherHigh + (sum > 0xffffffff ? 1 : 0)) >>> 0, sum >>> 0];
}

// x ^ (x >> shift), for shifts below 32
function mixed64(high, low, shift) {
  return [(high ^ (high >>> shift)) >>> 0, (low ^ ((low >>> shift) | (high << (32 - shift)))) >>> 0];
}

function times64(high, low, otherHigh, otherLow) {
  // Halves of halves: products of 16 bits fit.
  const [a, b] = [low >>> 16, low & 0xffff];
  const [c, d] = [otherLow >>> 16, otherLow & 0xffff];
  const bottom = b * d;
  const middle = a * d + (bottom >>> 16);
  const other = b * c + (middle & 0xffff);
  const top = a * c + Math.floor(middle / 65536) + Math.floor(other / 65536);
  const result = ((other & 0xffff) << 16) | (bottom & 0xffff);
  return [(top + Math.imul(high, otherLow) + Math.imul(low, otherHigh)) >>> 0, result >>> 0];
}
