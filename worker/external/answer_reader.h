#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/json/json.h"
#include "base/net/sse.h"
#include "worker/engine/engine.h"
#include "worker/external/usage_check.h"

namespace tidegate::worker::external {

/// What some bytes of a stream said.
struct AnswerPiece {
  std::string reasoning;
  std::string content;
  ToolCallDeltas calls;
  std::optional<ReportedUsage> usage;  ///< the newest: running totals, or of the whole answer

  bool has_text() const { return !reasoning.empty() || !content.empty() || !calls.empty(); }
};

/// The stream of one answer of an engine that speaks OpenAI's API, in any slicing. What such engines do differently is known
/// here: thinking as `reasoning_content` or `reasoning`; calls without an index, or whole in one chunk; usage in a chunk
/// without choices, in the last one or in every one; cached tokens under three names; errors as a member of a chunk. Ids of
/// calls are ours, made of the request's. No sockets.
class AnswerReader {
 public:
  enum class Kind : std::uint8_t { kChat, kText };
  struct Limits {
    std::size_t bytes_max = std::size_t{256} << 20;       ///< of the stream
    std::size_t text_bytes_max = std::size_t{16} << 20;   ///< of the answer in it
    std::int32_t calls_max = 128;
  };

  AnswerReader(Kind kind, std::string call_id_suffix, Limits limits);
  AnswerReader(Kind kind, std::string call_id_suffix) : AnswerReader(kind, std::move(call_id_suffix), Limits()) {}
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  /// Appends what `bytes` said to `piece`. Nothing is read behind is_done(), or after a failure.
  /// Fails: internal/upstream_malformed, upstream_oversize, upstream_filtered, upstream_aborted; unavailable/upstream_failed
  /// and what else the engine says in an error of its own.
  Status feed(std::string_view bytes, AnswerPiece& piece);

  /// "[DONE]" was read.
  bool is_done() const { return is_done_; }
  /// How the answer ended, once the engine said it; its usage may still come.
  std::optional<FinishReason> finish() const { return finish_; }
  const std::string& stop_text() const { return stop_text_; }
  std::int32_t calls() const { return calls_; }

 private:
  Status read(std::string_view data);
  Status read_choice(const json::object& choice);
  Status read_delta(const json::object& delta);
  Status read_call(const json::object& call);
  Status read_finish(const json::object& choice);
  Status add_text(std::string_view text, std::string& to);

  const Kind kind_;
  const std::string call_id_suffix_;
  const Limits limits_;
  sse::Parser parser_;
  AnswerPiece* piece_ = nullptr;  ///< while feed() runs
  Status failed_;
  std::size_t bytes_ = 0;
  std::size_t text_bytes_ = 0;
  std::int32_t calls_ = 0;  ///< begun; they come one after the other
  std::int64_t call_index_ = -1;
  bool is_done_ = false;
  std::optional<FinishReason> finish_;
  std::string stop_text_;
};

/// What an answer with an HTTP status that is no success means. `body` is what came with it, or the beginning of it.
/// 400, 413, 422: invalid_argument/upstream_refused, with the engine's own words; 401, 403: internal/upstream_unauthorized;
/// 404: internal/upstream_no_model; 408, 429, 503: unavailable/upstream_busy; 3xx: internal/upstream_redirected; others:
/// unavailable/upstream_failed.
Error error_of_status(int status, std::string_view body);

/// Of an OpenAI usage object, whatever is a number in it.
ReportedUsage read_usage(const json::object& usage);

}  // namespace tidegate::worker::external
