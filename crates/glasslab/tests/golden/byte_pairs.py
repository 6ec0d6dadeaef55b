#!/usr/bin/env python3
"""Makes byte_pairs.json: what the `tokenizers` library of Hugging Face learns of the stories that come with glasslab, and how it
cuts texts. Needs `pip install tokenizers` (0.22.1 made the file).

    python crates/glasslab/tests/golden/byte_pairs.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent
STORIES = HERE.parents[3] / "data" / "stories-train.txt"
N_VOCAB = 1024
TEXTS = ["Once upon a time, there was a café 🦀.", "it's we'll I'D  two  spaces\n\n\ttab 1847 x2y ²½ ⅷ", "日本語とРусский e\u0301 \u00a0\u2009 한국", "",
         "«Où?» “quotes” … 👩\u200d🌾 _under_score"]


def main():
    end = "<|endoftext|>"
    stories = [story.strip() for story in STORIES.read_text(encoding="utf-8").replace("\r\n", "\n").split(end)]
    stories = [story for story in stories if story]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=N_VOCAB, min_frequency=2, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(stories, trainer)
    # A byte that can be seen is written as itself, the others as the characters from 256 on.
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    byte_of = {chr(byte): byte for byte in seen} | {chr(256 + place): byte for place, byte in enumerate(unseen)}
    piece = lambda token: bytes(byte_of[letter] for letter in token)
    vocabulary = tokenizer.get_vocab()
    ours = {id_: piece(token)[0] if id_ < 256 else id_ for token, id_ in vocabulary.items()}
    pieces = {ours[id_]: piece(token).hex() for token, id_ in vocabulary.items()}
    cuts = [{"text": text, "ids": [ours[id_] for id_ in tokenizer.encode(text).ids]} for text in TEXTS]
    golden = {"stories": len(stories), "pieces": [pieces[id_] for id_ in range(256, len(pieces))], "cuts": cuts}
    (HERE / "byte_pairs.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
