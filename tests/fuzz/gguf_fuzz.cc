// A .gguf file: its container, and what a model and a tokenizer are read from.
//
// Input: two bytes for zeros behind it (the data of tensors), then a file.
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/file_claims.h"
#include "worker/format/checkpoint.h"
#include "worker/format/gguf.h"
#include "worker/model/architecture.h"
#include "worker/model/gguf_config.h"
#include "worker/model/gguf_tensors.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/tokenizer.h"

namespace {

using namespace tidegate;
using namespace tidegate::worker;

void read_model(GgufFile file, std::span<const std::byte> bytes) {
  const auto tokenizer = tokenizer_of_gguf(file);
  if (!tokenizer) {
    fuzz::claim_clear(tokenizer.error());
  } else if (const auto built = Tokenizer::build(*tokenizer); !built) {
    fuzz::claim_clear(built.error());
  }
  const auto config = config_of_gguf(file);
  if (!config) return fuzz::claim_clear(config.error());
  auto spec = model_spec_of(*config);
  if (!spec) return fuzz::claim_clear(spec.error());
  std::vector<GgufFile> files;
  files.push_back(std::move(file));
  Checkpoint checkpoint(std::move(files));
  if (const Status adjusted = adjust_to_gguf(checkpoint, *spec); !adjusted) return fuzz::claim_clear(adjusted.error());
  if (const Status exposed = expose_gguf_tensors(*spec, checkpoint); !exposed) return fuzz::claim_clear(exposed.error());
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    // Key and value halves are put together in memory; everything else stays where it was.
    if (name.ends_with("kv_b_proj.weight")) continue;
    TG_CLAIM("a renamed tensor lies within the file", fuzz::lies_within(tensor.bytes, bytes));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t zeros = input.number(2) % 4096;
  std::string content(input.rest());
  content.append(zeros, '\0');
  const auto bytes = fuzz::bytes_of(content);
  const fuzz::LargestAllocation largest;
  auto file = GgufFile::over(bytes, "input.gguf");
  // A list may be a vector that has doubled; a name or key is kept in a node of a map.
  TG_CLAIM("memory is in proportion to the file", largest.is_within(content.size(), 2 * GgufFile::kMemoryPerByte));
  if (!file) {
    TG_CLAIM("a broken file is a wrong argument",
             file.error().code == Code::kInvalidArgument && file.error().reason == "bad_gguf");
    fuzz::claim_clear(file.error());
    return 0;
  }
  for (const auto& [name, tensor] : file->tensors()) {
    TG_CLAIM("names are text", !name.empty() && is_valid_utf8(name));
    TG_CLAIM("every tensor lies within the file", !tensor.bytes.empty() && fuzz::lies_within(tensor.bytes, bytes));
    const DtypeBlock block = dtype_block(tensor.dtype);
    TG_CLAIM("blocks are whole", tensor.bytes.size() % static_cast<std::size_t>(block.bytes) == 0 &&
                                     tensor.shape.back() % block.elements == 0);
    std::int64_t elements = 1;
    for (const std::int64_t side : tensor.shape) elements *= side;
    TG_CLAIM("a shape has the bytes that it says", elements == tensor.elements());
    TG_CLAIM("every value can be read", to_floats(tensor).size() == static_cast<std::size_t>(elements));
  }
  for (const auto& [key, value] : file->values()) TG_CLAIM("keys are text", !key.empty() && is_valid_utf8(key));
  read_model(*std::move(file), bytes);
  TG_CLAIM("nor does a model ask for more than its file can hold", largest.is_within(content.size(), 64));
  return 0;
}
