#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "gateway/core/answer_end.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "gateway/core/service_tier.h"
#include "tidegate/v1/inference.pb.h"

/// proto/tidegate/v1/inference.proto <-> the gateway's types: no stream, no coroutine.
namespace tidegate::gateway {

/// Fails: invalid_argument/invalid_value or request_too_large with the field.
Result<Plan> decode_chat(v1::ChatRequest request);

/// `variant`: which of the model answers; "" when the worker did not say.
v1::ChatEvent encode_accepted(const RequestId& request, const std::string& model, const std::string& variant,
                              const TokenUsage& usage);
v1::ChatEvent encode_delta(std::string reasoning, std::string content, ToolCallDeltas tool_calls = {});
/// The same, of one of several answers and with what else it may have.
v1::ChatEvent encode_part(AnswerPart part);
v1::ChatEvent encode_finished(const AnswerEnd& end, ServiceTier tier);

/// Two deltas become one while a slow client has not read the first; of two answers one holds the other. False for other events, and when the sum would
/// not fit a message.
bool merge_events(v1::ChatEvent& last, v1::ChatEvent& next);

/// An answer as it is kept for a repeat of its request.
struct KeptChat {
  std::vector<v1::ChatEvent> events;
  Status end;  ///< what came after the events
};
/// Events behind their lengths.
void append_event(std::string& out, const v1::ChatEvent& event);
/// The end of an answer that failed after its first event.
void append_failure(std::string& out, const Error& error);
/// Fails: data_loss/bad_answer for anything that the two do not make.
Result<KeptChat> read_kept(std::string_view bytes);

/// The status a client gets: an error of our own making loses its words, as over HTTP.
Error public_error(const Refusal& refusal);

}  // namespace tidegate::gateway
