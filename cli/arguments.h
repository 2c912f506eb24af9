#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::cli {

/// What follows the command's name: words, and options as --name value, --name=value or --name (a switch).
/// Every option must be declared by the command; a misspelt one is refused with the list of known ones.
class Arguments {
 public:
  /// `switches` take no value. `--json`, `--endpoint FILE` and `--token-file FILE` exist for every command.
  /// Fails: invalid_argument/bad_usage.
  static Result<Arguments> parse(const std::vector<std::string>& words, const std::vector<std::string>& options,
                                 const std::vector<std::string>& switches);

  const std::vector<std::string>& words() const { return words_; }
  /// The n-th word. Fails: invalid_argument/bad_usage naming `what`.
  Result<std::string> word(std::size_t n, std::string_view what) const;
  std::string option(std::string_view name, std::string_view fallback = "") const;
  Result<std::string> required_option(std::string_view name) const;
  Result<std::int64_t> integer_option(std::string_view name, std::int64_t fallback) const;
  /// Fails: invalid_argument/bad_usage also beyond `low` and `high`.
  Result<std::int64_t> integer_within(std::string_view name, std::int64_t fallback, std::int64_t low,
                                      std::int64_t high) const;
  /// Microseconds since 1970 of an instant as 2026-11-01T00:00:00Z; 0 without the option. Fails: as parse_rfc3339().
  Result<std::int64_t> instant_option(std::string_view name) const;
  bool has(std::string_view name) const { return options_.contains(std::string(name)); }
  bool wants_json() const { return has("json"); }

 private:
  std::vector<std::string> words_;
  std::map<std::string, std::string> options_;
};

}  // namespace tidegate::cli
