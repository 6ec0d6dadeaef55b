#!/usr/bin/env python3
"""Makes quants.json and tiny.gguf: what the Python package `gguf` reads of blocks, and a file that it has written. Needs
`pip install gguf` (0.19.0 made the files).

    python crates/glasslab-data/tests/golden/quants.py
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

HERE = Path(__file__).resolve().parent
BLOCKS = {"Q8_0": 3, "Q4_0": 3, "Q4_1": 3, "Q5_0": 3, "Q5_1": 3, "Q4_K": 2, "Q5_K": 2, "Q6_K": 2, "F16": 64, "BF16": 64}
# Where the 16-bit floats of a block lie: any bytes would make some of them NaN.
FLOATS = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "F16": [0]}


def main():
    random = np.random.default_rng(1)
    golden = {}
    for name, count in BLOCKS.items():
        kind = Kind[name]
        length = gguf.GGML_QUANT_SIZES[kind][1]
        blocks = random.integers(0, 256, (count, length), dtype=np.uint8)
        for place in FLOATS.get(name, []):
            # The smallest are written in another way than the others.
            scale = np.where(random.random(count) < 0.3, 3e-6, random.normal(size=count)).astype(np.float16)
            blocks[:, place : place + 2] = scale.view(np.uint8).reshape(count, 2)
        if name == "BF16":
            blocks[:, 1] &= 0xBF  # no exponent of 255
        numbers = gguf.quants.dequantize(blocks.reshape(-1), kind).astype(np.float32).reshape(-1)
        # As the bits of the numbers: equal means equal.
        golden[name] = {"bytes": blocks.tobytes().hex(), "bits": [f"{bits:x}" for bits in numbers.view(np.uint32)]}
    (HERE / "quants.json").write_text(json.dumps(golden) + "\n", encoding="ascii")

    writer = gguf.GGUFWriter(HERE / "tiny.gguf", "llama")
    writer.add_uint8("a.uint8", 200)
    writer.add_int8("a.int8", -100)
    writer.add_uint16("a.uint16", 60000)
    writer.add_int16("a.int16", -30000)
    writer.add_uint32("a.uint32", 4_000_000_000)
    writer.add_int32("a.int32", -2_000_000_000)
    writer.add_uint64("a.uint64", 2**63)
    writer.add_int64("a.int64", -(2**62))
    writer.add_float32("a.float32", 0.1)
    writer.add_float64("a.float64", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "été 🦀")
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_array("a.texts", ["a", "", "ü"])
    writer.add_array("a.lists", [[1.5], [2.5]])
    writer.add_chat_template("{{ messages }}")
    matrix = np.arange(3 * 64, dtype=np.float32).reshape(3, 64) / 8
    for kind in (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1):
        writer.add_tensor(f"{kind.name}.weight", gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.add_tensor("vector", np.arange(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
