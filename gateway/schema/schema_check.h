#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/json/json.h"
#include "base/text_rules/text_pattern.h"

namespace tidegate::gateway {

/// Whether texts follow a schema that read_schema() has taken, in the words that a strict one may hold. Other words,
/// references that lead nowhere and patterns that RE2 cannot read promise nothing here; `format` is a remark. No I/O.
///
/// Time is bounded: schemas and texts both come from outside, and together they can ask for endless work. A text that
/// the bound leaves unread is neither right nor wrong. One object may read several texts; the bound is for all of them.
class SchemaCheck {
 public:
  static constexpr std::int64_t kTextBytesMax = 1 << 20;
  static constexpr std::size_t kTextDepthMax = 128;
  /// A step is a schema held against a value, or as much work.
  static constexpr std::int64_t kStepsMax = 250'000;

  /// Fails: invalid_argument/invalid_json.
  static Result<SchemaCheck> open(std::string_view schema);

  /// The whole `text`; places in messages begin with its `name`: "answer.items[2].name". Of members that it repeats the
  /// last one counts, as for its readers.
  /// Fails: invalid_argument, with the schema's word that is broken as reason ("required"; "json": it is no JSON of at
  /// most kTextDepthMax levels) and the place as field; resource_exhausted/check_too_long: nobody knows.
  Status check(std::string_view text, std::string_view name);

 private:
  /// Read when a text first asks for them; nullopt: unreadable.
  using Patterns = std::map<std::string, std::optional<TextPattern>, std::less<>>;
  class Walk;

  explicit SchemaCheck(json::value schema) : schema_(std::move(schema)) {}

  json::value schema_;
  Patterns patterns_;
  std::int64_t steps_left_ = kStepsMax;
};

}  // namespace tidegate::gateway
