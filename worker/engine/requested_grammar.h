#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "base/core/result.h"
#include "worker/engine/engine.h"

namespace tidegate::worker {

/// What the answer to a request with this offer must follow, decided in this one place; null = nothing. A forced call comes before a format:
/// an answer that must call has no content to format.
///
///   tool_choice required            calls of any of the tools        Grammar::from_tool_calls
///   tool_choice of one function     one call of that tool            Grammar::from_tool_calls
///   response_format json_schema     content that follows its schema  Grammar::from_json_schema
///   response_format json_object     content that is a JSON object    Grammar::json_object
///   strict tools, a free choice     text, then perhaps calls of any of the tools: those of a strict one follow its schema, as far as it
///                                   can be kept; all others have an object for arguments
///   anything else                   null: what tools that are not strict are called with is the model's own
///
/// `syntax`: how the model writes calls.
/// Fails: invalid_argument/unsupported_response_format with the request's field, and the place and keyword of a schema
/// that cannot be kept: an unkept promise about a format breaks the program behind it.
Result<std::shared_ptr<const grammar::Grammar>> constraint_of(const ToolOffer& offer, ToolSyntax syntax);

/// The same, with the grammars of the last few forms at hand: a program asks for the same form again and again. Any thread:
/// nobody waits for another's compilation, and two who compile one form at once end with one grammar.
class RequestedGrammars {
 public:
  static constexpr std::size_t kKeptMax = 64;
  /// Of the texts that forms are known by; a form of more than all of it is compiled each time.
  static constexpr std::size_t kKeptBytesMax = std::size_t{16} << 20;

  /// Fails as constraint_of() does.
  Result<std::shared_ptr<const grammar::Grammar>> find(const ToolOffer& offer, ToolSyntax syntax);

 private:
  struct Kept {
    std::string form;
    std::shared_ptr<const grammar::Grammar> grammar;
  };
  /// Null: not known. Under the lock.
  std::shared_ptr<const grammar::Grammar> recall(const std::string& form);

  std::mutex mutex_;
  std::deque<Kept> kept_;  ///< the latest in use first
  std::size_t kept_bytes_ = 0;
};

}  // namespace tidegate::worker
