#include "worker/verify/golden_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace tidegate::worker {
namespace {

bool is_model(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "config.json", ignored);
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

}  // namespace

Result<std::vector<GoldenPair>> golden_pairs(const std::filesystem::path& goldens, const std::filesystem::path& models) {
  std::vector<GoldenPair> pairs;
  std::error_code error;
  std::filesystem::directory_iterator it(goldens, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::filesystem::path& folder = it->path();
    std::error_code ignored;
    if (!std::filesystem::exists(folder / "golden.json", ignored)) continue;
    GoldenPair pair{.name = folder.filename().string(), .model = folder, .golden = folder};
    if (!is_model(folder)) {
      pair.model = models / with_dashes(pair.name);
      if (!is_model(pair.model)) pair.model = models / pair.name;
      if (models.empty() || !is_model(pair.model)) {
        return fail(Code::kNotFound, "no_model",
                    fmt::format("{} has no config.json, and there is no model {} or {} in '{}'; name its folder with --models",
                                folder.string(), with_dashes(pair.name), pair.name, models.string()),
                    "models");
      }
    }
    pairs.push_back(std::move(pair));
  }
  if (error) {
    return fail(Code::kNotFound, "no_golden", fmt::format("cannot read {}: {}", goldens.string(), error.message()), "all");
  }
  if (pairs.empty()) {
    return fail(Code::kNotFound, "no_golden", fmt::format("no folder of {} holds a golden.json", goldens.string()), "all");
  }
  std::sort(pairs.begin(), pairs.end(), [](const GoldenPair& a, const GoldenPair& b) { return a.name < b.name; });
  return pairs;
}

}  // namespace tidegate::worker
