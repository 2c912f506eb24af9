#pragma once

#include <filesystem>
#include <string_view>

namespace tidegate::worker {

/// Of one architecture, with its model.
inline std::filesystem::path golden_folder(std::string_view name) {
  return std::filesystem::path(TG_SOURCE_DIR) / "tests/golden" / name;
}

}  // namespace tidegate::worker
