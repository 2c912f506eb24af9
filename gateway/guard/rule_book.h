#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/text_rules/text_rules.h"
#include "gateway/guard/guard.h"
#include "gateway/guard/pii.h"

namespace tidegate::gateway {

/// One rule of a file. rule_file.h reads and checks them.
struct GuardRule {
  std::string name;  ///< [a-z0-9_-], unique in its file
  bool is_for_input = true;
  bool is_for_output = true;
  std::string pattern;            ///< RE2
  const PiiKind* pii = nullptr;   ///< where the pattern came from; its matches are looked at again
  GuardAction action = GuardAction::kLog;
  std::string message;            ///< of a denial; may be empty
  std::vector<std::string> models;   ///< empty: every model
  /// Ids or names. Empty: every tenant. Names with '!' before them: every tenant but these.
  std::vector<std::string> tenants;

  bool is_for(GuardDirection direction) const;
  bool binds(const GuardSubject& subject) const;
};

/// Rules, compiled. Judging is pure: the same text gives the same verdict, and a text that goes on gives the same text
/// in whatever pieces it comes.
///
/// What is masked: of every mask rule the leftmost match, then the next behind it, and so on; matches of different rules
/// that overlap are one region, replaced by the name of the rule that begins first (then: stands first in the file) in
/// brackets. A region that reaches a window's length takes in no more matches. What is denied: everything from the
/// leftmost match of a deny rule on.
///
/// What of a piece stays undecided: from the first place where a match may have begun that is not over, or from the
/// beginning of the region around it. The first is at most the longest match of a rule away from the end, the second
/// less than a window and such a match further. So never more than three windows; mostly nothing.
/// Immutable, thread-safe.
class RuleBook {
 public:
  static constexpr std::size_t kWindowBytesMin = 64;
  static constexpr std::size_t kWindowBytesMax = 16'384;

  /// Fails: invalid_argument/bad_rules naming rule, field and fix: a pattern that RE2 refuses; for output also one
  /// whose matches may be longer than `window_bytes`, or that asks where a text begins or ends.
  static Result<RuleBook> compile(std::vector<GuardRule> rules, std::size_t window_bytes);

  /// `check.window_bytes` is not looked at: the book's own counts.
  GuardVerdict judge(const GuardCheck& check) const;

  /// Some rule for this direction binds the subject.
  bool reads(const GuardSubject& subject, GuardDirection direction) const;
  const std::vector<GuardRule>& rules() const { return rules_; }
  std::size_t window_bytes() const { return window_bytes_; }
  /// Bytes of the longest match of any rule for output: the least window that finds them all.
  std::size_t output_bytes_max() const;

 private:
  /// The rules of one direction, in the order of the file.
  struct Side {
    std::vector<std::size_t> rules;  ///< places in rules_; pattern i is that of rules[i]
    TextRules patterns;
  };
  struct TextJudge;

  RuleBook(std::vector<GuardRule> rules, std::size_t window_bytes, Side input, Side output)
      : rules_(std::move(rules)), window_bytes_(window_bytes), input_(std::move(input)), output_(std::move(output)) {}
  static Result<Side> compile_side(const std::vector<GuardRule>& rules, GuardDirection direction);
  const Side& side(GuardDirection direction) const {
    return direction == GuardDirection::kInput ? input_ : output_;
  }

  std::vector<GuardRule> rules_;
  std::size_t window_bytes_;
  Side input_;
  Side output_;
};

}  // namespace tidegate::gateway
