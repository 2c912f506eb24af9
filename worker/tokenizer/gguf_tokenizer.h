#pragma once

#include "base/core/result.h"
#include "worker/format/gguf.h"
#include "worker/tokenizer/tokenizer_file.h"

namespace tidegate::worker {

/// The vocabulary that a GGUF file carries (tokenizer.ggml.*), as if it had come from tokenizer.json: byte-level BPE
/// ("gpt2") with a known pre-tokenizer. Control and user-defined tokens are added tokens; unused ones are none. Fails:
/// invalid_argument/tokenizer_unsupported with the key in Error::field.
Result<TokenizerFile> tokenizer_of_gguf(const GgufFile& file);

}  // namespace tidegate::worker
