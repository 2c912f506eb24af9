#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidegate::cli {

/// Columns padded to their widest cell; wide characters (CJK) count as two.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "1.50 GiB".
std::string gib_text(std::int64_t bytes);

}  // namespace tidegate::cli
