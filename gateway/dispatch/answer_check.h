#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/plan.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/metrics.h"
#include "gateway/schema/schema_check.h"

namespace tidegate::gateway {

/// Reads a request's answers beside their way to the client, and says at the end of each whether it is what the request
/// was promised. Our engine keeps promises while it writes; a server behind an adopted worker may not, and a program
/// that asked for a format reads whatever comes as that format.
///
///   response_format json_object             content that is a JSON object
///   response_format json_schema, strict     content that follows the schema
///   a forced call                           calls, of what may be called
///   a strict tool                           arguments of its calls that follow its schema
///
/// What its worker ended well is read, and neither what ran out of tokens nor what was cut. A request with stop strings
/// is promised nothing: they may cut JSON in two. Of an answer with calls the content is free. One object a request, on
/// its io thread.
class AnswerCheck {
 public:
  /// Kept of all answers of a request; longer ones are not checked.
  static constexpr std::int64_t kKeptBytesMax = SchemaCheck::kTextBytesMax;

  /// Null when the plan is promised nothing. Both outlive it.
  static std::unique_ptr<AnswerCheck> of(const Plan& plan, GatewayMetrics& metrics);
  AnswerCheck(const Plan& plan, GatewayMetrics& metrics);
  AnswerCheck(const AnswerCheck&) = delete;
  AnswerCheck& operator=(const AnswerCheck&) = delete;

  /// Every event as its worker said it, before a guard changes it. Counts what an end turns out to be.
  /// Fails, at the end of an answer that is not what was promised: invalid_argument, with the rule as reason: a word of
  /// SchemaCheck::check(), or tool_choice. The message may have names from the answer.
  Status take(const SequenceDelta& delta);
  /// Another worker begins the answers anew.
  void reset();

 private:
  /// Of a strict tool.
  struct Call {
    const PlanTool* tool = nullptr;
    std::string arguments;
  };
  /// One of the request's answers.
  struct Side {
    std::string content;
    std::vector<Call> calls;
    bool has_call = false;
    bool has_stray_call = false;  ///< of what may not be called
    bool is_in_strict_call = false;
  };

  void keep(Side& side, const SequenceDelta& delta);
  void begin_call(Side& side, std::string_view name);
  void append(std::string& to, std::string_view text);
  Status check(const Side& side);
  Status follows(const std::string& schema, std::string_view text, std::string_view name);

  const Plan& plan_;
  GatewayMetrics& metrics_;
  const std::string content_schema_;  ///< "" = the content may be anything
  std::deque<Side> sides_;            ///< by choice
  std::int64_t kept_bytes_ = 0;
  std::map<const std::string*, SchemaCheck> checks_;  ///< by schema, those that were needed
};

/// What the client is told of an answer that take() failed.
Error answer_breaks_format(const Error& broken);

}  // namespace tidegate::gateway
