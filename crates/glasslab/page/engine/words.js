// How a text is cut before its bytes are merged: no token crosses from one of these words into the next.
//
// JavaScript's own \s holds U+FEFF and not U+0085; Unicode's white space is what the library goes by.

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const LLAMA3 = lettersAndSigns("{1,3}");
const QWEN2 = lettersAndSigns("");

// Llama 3's cut, with numbers of so many digits: ſ, a long s, is an s where the size of letters does not count.
function lettersAndSigns(digits) {
  return new RegExp(
    [
      "'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])",
      "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+",
      `\\p{N}${digits}`,
      " ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*",
      "\\p{White_Space}*[\\r\\n]+",
      "\\p{White_Space}+(?!\\P{White_Space})",
      "\\p{White_Space}+",
    ].join("|"),
    "gu",
  );
}

const SPLITS = {
  whole: (text) => (text ? [text] : []),
  gpt2: (text) => text.match(GPT2) ?? [],
  smollm: (text) => (text.match(/\p{N}|\P{N}+/gu) ?? []).flatMap((part) => part.match(GPT2)),
  llama3: (text) => text.match(LLAMA3) ?? [],
  qwen2: (text) => text.match(QWEN2) ?? [],
};

// A text's words; together they are the text.
export function wordsOf(split, text) {
  if (!SPLITS[split]) throw new Error(`there is no cut of words called ${split}: write the page anew`);
  return SPLITS[split](text);
}
