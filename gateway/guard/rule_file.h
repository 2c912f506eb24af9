#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "gateway/guard/rule_book.h"

namespace tidegate::gateway {

/// {"rules": [{"name", "direction", "pattern" | "pii", "action", "message", "models", "tenants"}]}: docs/guard.md.
struct RuleFileLimits {
  static constexpr std::size_t kBytesMax = 1 << 20;
  static constexpr std::size_t kRulesMax = TextRules::kPatternsMax;
  static constexpr std::size_t kListMax = 1'000;  ///< models, or tenants, of a rule
};

/// Fails: invalid_argument/bad_rules naming rule, field and fix. Unknown fields are refused: a misspelt one would make
/// a rule that does less than it says.
Result<RuleBook> parse_rules(std::string_view text, std::size_t window_bytes);

/// The same of a file; the message begins with its path. Fails also: not_found/file_unreadable.
Result<RuleBook> load_rules(const std::string& path, std::size_t window_bytes);

}  // namespace tidegate::gateway
