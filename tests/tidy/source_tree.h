#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate::tidy {

/// One file of the repository, with its text and a copy whose comments and literals are blanked (same offsets).
struct SourceFile {
  std::string path;  ///< relative to the root, '/' separated
  std::string text;
  std::string code;
  std::vector<std::string> includes;         ///< of the form "base/core/x.h"
  std::vector<std::string> system_includes;  ///< of the form <vendor/x.h>

  bool is_under(std::string_view folder) const { return path.starts_with(folder); }
  bool has_extension(std::string_view extension) const { return path.ends_with(extension); }
  int line_of(std::size_t offset) const;
  int lines() const;
  /// Tables made by a committed generator say so in their first line; size rules pass them over.
  bool is_generated() const;
};

/// Every C++, CMake, shell and dashboard file under `root`, build and var folders left out.
std::vector<SourceFile> load_tree(const std::filesystem::path& root);

}  // namespace tidegate::tidy
