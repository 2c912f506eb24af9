// A ChatRequest or an EmbedRequest over gRPC, and an answer kept for a repeat of it.
//
// Input: a byte of choice; then a serialised request (read as both), kept events, or two serialised ChatEvents (the first
// with its length).
#include <google/protobuf/stubs/logging.h>

#include <string>
#include <utility>
#include <vector>

#include "gateway/rpc/chat_codec.h"
#include "gateway/rpc/embed_codec.h"
#include "tests/fuzz/request_claims.h"

namespace tidegate::gateway {
namespace {

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void check_embed(std::string_view bytes) {
  v1::EmbedRequest request;
  if (!parse(request, bytes)) return;
  const auto plan = decode_embed(request);
  if (!plan) return fuzz::claim_refusal(plan.error());
  fuzz::claim_embedding(*plan);
  TG_CLAIM("every input arrives", plan->answers() == request.input_size());
}

void check_request(std::string_view bytes) {
  v1::ChatRequest request;
  if (!parse(request, bytes)) return;
  const auto plan = decode_chat(request);
  if (!plan) return fuzz::claim_refusal(plan.error());
  fuzz::claim_plan(*plan);
  TG_CLAIM("every message arrives", plan->messages.size() == static_cast<std::size_t>(request.messages_size()));
  for (int i = 0; i < request.messages_size(); ++i) {
    const PlanMessage& message = plan->messages[static_cast<std::size_t>(i)];
    TG_CLAIM("to the letter",
             message.content == request.messages(i).content() && message.begins_answer == request.messages(i).prefix());
  }
  TG_CLAIM("every tool arrives", plan->tools.size() == static_cast<std::size_t>(request.tools_size()));
  TG_CLAIM("what is unset stays unset",
           plan->sampling.temperature.has_value() == request.sampling().has_temperature() &&
               plan->sampling.seed.has_value() == request.sampling().has_seed() &&
               plan->thinking.has_value() == request.has_thinking());
  TG_CLAIM("answers are streamed and counted", plan->is_stream && plan->include_usage);
}

void check_kept(fuzz::Input& input) {
  const auto kept = read_kept(input.rest());
  if (!kept) {
    TG_CLAIM("what cannot be read is lost data", kept.error().code == Code::kDataLoss);
    return;
  }
  std::string again;
  for (const v1::ChatEvent& event : kept->events) append_event(again, event);
  if (!kept->end) append_failure(again, kept->end.error());
  const auto twice = read_kept(again);
  TG_CLAIM("what was read is written so that it is read", twice && twice->events.size() == kept->events.size());
  for (std::size_t i = 0; i < kept->events.size(); ++i) {
    TG_CLAIM("event for event", twice->events[i].SerializeAsString() == kept->events[i].SerializeAsString());
  }
  TG_CLAIM("with its end", twice->end.has_value() == kept->end.has_value());
  if (!kept->end) TG_CLAIM("in the same words", twice->end.error().to_string() == kept->end.error().to_string());
}

/// All that an event says of one answer. Pieces of one call join, so that only what they come to is told.
struct Said {
  std::string reasoning, content, finish_reason;
  std::vector<std::pair<std::int32_t, std::string>> calls;  ///< index and arguments, neighbours of one index joined
  std::string logprobs;                                     ///< as they are serialised, one behind the other

  void add(const v1::ChatEvent::Delta& delta) {
    reasoning += delta.reasoning();
    content += delta.content();
    if (!delta.finish_reason().empty()) finish_reason = delta.finish_reason();
    for (const v1::ToolCallDelta& piece : delta.tool_calls()) {
      if (calls.empty() || calls.back().first != piece.index()) calls.emplace_back(piece.index(), "");
      calls.back().second += piece.arguments();
    }
    for (const v1::TokenLogprob& token : delta.logprobs()) logprobs += token.SerializeAsString();
  }
  bool operator==(const Said&) const = default;
};

Said said_of(const v1::ChatEvent& event, std::int32_t choice) {
  Said said;
  if (event.delta().choice() == choice) said.add(event.delta());
  for (const v1::ChatEvent::Delta& more : event.delta().more()) {
    if (more.choice() == choice) said.add(more);
  }
  return said;
}

void check_merge(fuzz::Input& input) {
  v1::ChatEvent last, next;
  if (!parse(last, input.piece()) || !parse(next, input.rest())) return;
  // What encode_part() makes has one answer; what was merged has several, each once.
  if (next.delta().more_size() != 0) return;
  for (int i = 0; i < last.delta().more_size(); ++i) {
    for (int j = -1; j < i; ++j) {
      if (last.delta().more(i).choice() == (j < 0 ? last.delta() : last.delta().more(j)).choice()) return;
    }
  }
  const v1::ChatEvent last_before = last, next_before = next;
  if (!merge_events(last, next)) {
    TG_CLAIM("what is not merged is left alone", last.SerializeAsString() == last_before.SerializeAsString());
    return;
  }
  const std::int32_t choice = next_before.delta().choice();
  Said both = said_of(last_before, choice);
  both.add(next_before.delta());
  TG_CLAIM("nothing is lost or moved", said_of(last, choice) == both);
  const auto stays = [&](std::int32_t other) {
    return other == choice || said_of(last, other) == said_of(last_before, other);
  };
  TG_CLAIM("other answers stay", stays(last_before.delta().choice()));
  for (const v1::ChatEvent::Delta& more : last_before.delta().more()) TG_CLAIM("each of them", stays(more.choice()));
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate::gateway;
  // One line of log for every string that is no UTF-8 would be most of the work.
  [[maybe_unused]] static const auto kLouder = google::protobuf::SetLogHandler(nullptr);
  tidegate::fuzz::Input input(data, size);
  switch (input.below(3)) {
    case 0: {
      const auto bytes = input.rest();
      check_request(bytes);
      check_embed(bytes);
      break;
    }
    case 1:
      check_kept(input);
      break;
    default:
      check_merge(input);
      break;
  }
  return 0;
}
