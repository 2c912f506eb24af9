#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::worker {

/// A golden file and the model that it was made of.
struct GoldenPair {
  std::string name;  ///< of the golden folder
  std::filesystem::path model;
  std::filesystem::path golden;
};

/// Every folder of `goldens` that holds a golden.json, in order of names. Its model is the folder itself where it holds one,
/// otherwise the folder of `models` of the same name ("tang_moe", "tang-moe"). Fails: not_found/no_golden (there is none),
/// not_found/no_model (one has no model in either place: what is not compared must not look as if it had passed).
Result<std::vector<GoldenPair>> golden_pairs(const std::filesystem::path& goldens, const std::filesystem::path& models);

}  // namespace tidegate::worker
