// The JSON files beside weights: the index of shards, and a converter's manifest.
//
// Input: a byte of choice, then the text.
#include "tests/fuzz/file_claims.h"
#include "worker/format/checkpoint.h"
#include "worker/format/weight_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::worker;
  fuzz::Input input(data, size);
  const bool is_manifest = input.flag();
  const std::string_view text = input.rest();
  const fuzz::LargestAllocation largest;
  if (is_manifest) {
    const auto digest = manifest_digest(text);
    if (digest) {
      TG_CLAIM("a digest is one", digest->size() == 71 && digest->starts_with("sha256:"));
    } else {
      TG_CLAIM("a refusal is of a known kind", digest.error().reason == "bad_manifest");
      fuzz::claim_clear(digest.error());
    }
  } else {
    const auto shards = parse_weight_index(text);
    if (shards) {
      TG_CLAIM("an index names something", !shards->empty());
      for (const auto& [tensor, shard] : *shards) {
        TG_CLAIM("a shard is a sibling", shard.find('/') == std::string::npos && !shard.starts_with('.') &&
                                             shard.ends_with(".safetensors"));
      }
    } else {
      TG_CLAIM("a broken index is a wrong argument", shards.error().code == Code::kInvalidArgument);
      fuzz::claim_clear(shards.error());
    }
  }
  TG_CLAIM("memory is in proportion to the file", largest.is_within(text.size(), 64));
  return 0;
}
