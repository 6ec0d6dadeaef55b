#!/usr/bin/env python3
"""Makes tokenizing.json: small tokenizers of each family, learnt of the stories that come with glasslab, and how the libraries
`tokenizers` (Hugging Face) and `sentencepiece` (Google) cut random texts with them. Needs
`pip install tokenizers sentencepiece` (0.22.1 and 0.2.3 made the file).

    python crates/glasslab-data/tests/golden/tokenizing.py
    python crates/glasslab-data/tests/golden/tokenizing.py --texts 100000 --seed 2 --out /tmp/more.json
    GLASSLAB_TOKENIZERS=/tmp/more.json cargo test --release -p glasslab-data --test tokenizers
"""

import argparse
import json
import random
import struct
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
STORIES = HERE.parents[3] / "data" / "stories-train.txt"
OTHERS = ["Il était une fois un garçon très curieux. L'été, il jouait à Zürich.", "Жила-была девочка, она любила кошек.",
          "むかしむかし、おじいさんとおばあさんがいました。", "옛날 옛적에 한 소녀가 살았어요.", "x = [1, 22, 333]; if (a != b) { return 3.14; }"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
RARE = "\u0104\u0106\u0113\u0114\u0116\u011d"  # the bytes 4, 6, 19, 20, 22 and 29, as GPT-2 writes them
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
PARTS = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "'s", "'T", "'ll", "'RE", "'\u017f", "don't", "1", "42", "12345", "\u00b2",
         "\u2167", "\u0663", "\u00e9", "e\u0301", "\u0323\u0301", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u65e5\u672c", "\u2581", "\u2581\u2581",
         "<", "|", ">", "_", "...", "!?", "\U0001f980", "\U0001f469\u200d\U0001f33e", "\u0430\u043b\u0430", "\u05e9\u05b8", "\u0e01\u0e31", "\u0928\u093c",
         "\u212b", "\uf900", "\ufb01", "\u200b", "\ufeff", "\x00", "\x14", "\x1b", "\u0085", "\u2028", "<0x0A>", *SPECIAL, "\n\n", "\n\n\n"]


def random_texts(count, seed, words):
    """Texts of words, of what tokenizers stumble over, and of any character that Unicode has had for long."""
    chance = random.Random(seed)

    def character():
        while True:
            letter = chr(chance.randrange(chance.choice([0x80, 0x250, 0x3000, 0x20000, 0x110000])))
            # What was added of late, libraries disagree about: each has the tables of its year.
            if unicodedata.category(letter) not in ("Cs", "Cn"):
                return letter

    def part():
        kind = chance.random()
        return chance.choice(words) if kind < 0.35 else chance.choice(PARTS) if kind < 0.75 else character()

    return ["".join(part() for _ in range(chance.randrange(1, 9))) for _ in range(count)]


def bytes_of(name, text):
    """A tokenizer of bytes, as the family has it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    bytes_, words = (pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=whole) for whole in (False, True))
    cut = lambda regex: pre_tokenizers.Split(Regex(regex), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = {
        "gpt2": words,
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words]),
        "llama3": pre_tokenizers.Sequence([cut(LLAMA3), bytes_]),
        "qwen2": pre_tokenizers.Sequence([cut(QWEN2), bytes_]),
    }[name]
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    # SmolLM2 has no pieces for a few bytes that its texts did not have.
    alphabet = [letter for letter in pre_tokenizers.ByteLevel.alphabet() if name != "smollm" or letter not in RARE]
    trainer = trainers.BpeTrainer(vocab_size=440, min_frequency=2, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(text, trainer)
    if name == "smollm":
        # Special ones first, as its vocabulary has them.
        vocabulary = {token: id_ + len(SPECIAL) for token, id_ in tokenizer.get_vocab().items()}
        said = json.loads(tokenizer.to_str())
        said["model"]["vocab"] = {token: id_ for id_, token in enumerate(SPECIAL)} | vocabulary
        tokenizer = Tokenizer.from_str(json.dumps(said))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    if name == "llama3":
        bos = tokenizer.token_to_id("<s>")
        template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", bos)])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def sentences(text):
    """A model of SentencePiece."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for story in text for line in story.split("\n") if line]
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=f"{folder}/tiny", model_type="bpe", vocab_size=560, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, character_coverage=0.999,
            allow_whitespace_only_pieces=True, minloglevel=2)
        return sentencepiece.SentencePieceProcessor(model_file=f"{folder}/tiny.model")


def characters_of(name, sp):
    """The same pieces in the pipeline of a family, whose pairs follow from the scores."""
    ids = {sp.id_to_piece(id_): id_ for id_ in range(sp.get_piece_size())}
    pairs = []
    for piece, id_ in ids.items():
        if not (sp.is_control(id_) or sp.is_unknown(id_) or sp.is_byte(id_)):
            pairs += [(sp.get_score(id_), piece[:at], piece[at:]) for at in range(1, len(piece))
                      if piece[:at] in ids and piece[at:] in ids]
    pairs.sort(key=lambda pair: -pair[0])
    model = models.BPE(ids, [pair[1:] for pair in pairs], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    to_sign, to_space = normalizers.Replace(" ", "▁"), decoders.Replace("▁", " ")
    if name == "llama2":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), to_sign])
    elif name == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = to_sign
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    stripped = [] if name == "gemma" else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence([to_space, decoders.ByteFallback(), decoders.Fuse(), *stripped])
    if name == "gemma":
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("\n\n", "\n\n\n", "▁▁")])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def llama2c(sp):
    """The pieces as llama2.c's tokenizer.py writes them."""
    special = {sp.bos_id(): "\n<s>\n", sp.eos_id(): "\n</s>\n"}
    pieces = [special.get(id_, sp.id_to_piece(id_)).replace("▁", " ").encode() for id_ in range(sp.get_piece_size())]
    parts = [struct.pack("<fI", sp.get_score(id_), len(piece)) + piece for id_, piece in enumerate(pieces)]
    return struct.pack("<I", max(map(len, pieces))) + b"".join(parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "tokenizing.json")
    options = parser.parse_args()
    text = STORIES.read_text(encoding="utf-8").replace("\r\n", "\n").split("<|endoftext|>")[:100]
    text = [story.strip() for story in text] + OTHERS * 2
    texts = random_texts(options.texts, options.seed, " ".join(text).split(" ")[:2000])
    families = {}
    sp = sentences(text)
    for name in ("gpt2", "smollm", "llama3", "qwen2", "llama2", "mistral", "gemma"):
        tokenizer = bytes_of(name, text) if name in ("gpt2", "smollm", "llama3", "qwen2") else characters_of(name, sp)
        full, bare = tokenizer.encode("x").ids, tokenizer.encode("x", add_special_tokens=False).ids
        families[name] = {
            "tokenizer": json.loads(tokenizer.to_str()),
            "begin": full[0] if full != bare else None,
            "ids": [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)],
        }
    families["sentencepiece"] = {"file": llama2c(sp).hex(), "pieces": sp.get_piece_size(), "begin": 1, "ids": sp.encode(texts)}
    golden = json.dumps({"texts": texts, "families": families}, separators=(",", ":"))
    options.out.write_text(golden + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
