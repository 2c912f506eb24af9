#pragma once

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/core/result.h"

namespace tidegate::cli {

/// A file a command line names. Fails: not_found/file_unreadable.
inline Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read '{}'", path), path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace tidegate::cli
