#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "worker/backend/backend.h"

namespace tidegate::worker {

/// One prompt with what must come out. Two kinds of file share this shape: of a tiny architecture (tensors
/// for every position) and of a trained model (first-step top logits, margins, drafts); what a kind lacks is
/// empty.
struct GoldenCase {
  std::vector<TokenId> ids;
  std::vector<TokenId> greedy;
  double logits_rms = 0;
  std::vector<float> margins;    ///< top-1 margin before each greedy token; empty: every one is safe
  std::vector<TokenId> top_ids;  ///< largest first-step logits
  std::vector<float> top_logits;
  std::vector<TokenId> drafts;  ///< MTP draft after each greedy token
  std::vector<float> draft_margins;
  std::map<std::string, std::vector<float>> tensors;  ///< "logits", "attn.0", ... without the case's prefix
};

struct GoldenFile {
  std::filesystem::path path;               ///< golden.json
  std::optional<std::int32_t> vocab_limit;  ///< ids from here on are never chosen
  std::vector<GoldenCase> cases;
};

/// `path` is a golden.json or the folder that holds it; golden.safetensors is read from beside it if present.
/// Fails: not_found, invalid_argument/bad_golden (Error::field is the offending member), bad_safetensors.
Result<GoldenFile> read_golden(const std::filesystem::path& path);

}  // namespace tidegate::worker
