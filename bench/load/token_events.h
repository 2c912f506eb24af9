#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/net/sse.h"

namespace tidegate::bench {

/// What a client sees in one answer: how many events carried text, and the count of tokens the server told. Whole
/// server-sent events are looked at, never bytes: a relay may cut them anywhere. One answer at a time.
class TokenEvents {
 public:
  /// `on_token` is called once for each event with text (`content` or `reasoning_content` that is not empty); the event
  /// that only names the role has none.
  explicit TokenEvents(std::function<void()> on_token);
  TokenEvents(const TokenEvents&) = delete;
  TokenEvents& operator=(const TokenEvents&) = delete;

  /// The next bytes of a streamed body. False: the server sent an event without an end.
  bool feed(std::string_view body) { return parser_.feed(body); }
  /// As if nothing was read before. What an answer cut short left behind is gone too.
  void reset();

  /// "data: [DONE]" was seen.
  bool is_done() const { return is_done_; }
  /// The answer ended in an error event instead.
  bool is_cut() const { return is_cut_; }
  /// Last `completion_tokens` told; 0 without.
  std::int64_t completion_tokens() const { return completion_tokens_; }

 private:
  void take(std::string_view data);

  std::function<void()> on_token_;
  sse::Parser parser_;
  std::int64_t completion_tokens_ = 0;
  bool is_done_ = false;
  bool is_cut_ = false;
};

/// The number behind `"completion_tokens":` in a body or event; 0 without.
std::int64_t find_completion_tokens(std::string_view json);

}  // namespace tidegate::bench
