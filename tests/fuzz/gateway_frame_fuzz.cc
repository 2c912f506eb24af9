// What the gateway sends to workers, and what the scheduler sends to it.
//
// Input: a byte of choice; then two serialised GatewayFrames (the first with its length), a plan in pieces, or Routes.
#include <google/protobuf/stubs/logging.h>

#include <string>
#include <utility>

#include "gateway/dispatch/session_codec.h"
#include "tests/fuzz/input.h"

namespace tidegate::gateway {
namespace {

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void check_merge(fuzz::Input& input) {
  v1::GatewayFrame last, next;
  if (!parse(last, input.piece()) || !parse(next, input.rest())) return;
  const v1::GatewayFrame last_before = last, next_before = next;
  TG_CLAIM("small frames become one", merge_frames(last, next));
  TG_CLAIM("no start is lost", last.start_size() == last_before.start_size() + next_before.start_size());
  TG_CLAIM("no cancel is lost", last.cancel_size() == last_before.cancel_size() + next_before.cancel_size());
  for (int i = 0; i < last.start_size(); ++i) {
    const bool is_older = i < last_before.start_size();
    const v1::StartSequence& from = is_older ? last_before.start(i) : next_before.start(i - last_before.start_size());
    TG_CLAIM("starts keep their order and content", last.start(i).SerializeAsString() == from.SerializeAsString());
  }
  TG_CLAIM("the greeting stays", last.has_hello() == last_before.has_hello());
}

/// Read last, so that an input without them still means what it did.
void read_tools(fuzz::Input& input, Plan& plan) {
  const std::size_t tools = input.below(3);
  for (std::size_t i = 0; i < tools; ++i) {
    PlanTool tool;
    tool.name = input.text();
    tool.description = input.text();
    tool.parameters = input.text();
    tool.strict = input.flag();
    plan.tools.push_back(std::move(tool));
  }
  plan.tool_choice.mode = static_cast<ToolMode>(input.below(4));
  plan.response_format.kind = static_cast<FormatKind>(input.below(3));
  if (plan.tool_choice.mode == ToolMode::kFunction) plan.tool_choice.name = input.text();
  if (plan.response_format.kind == FormatKind::kJsonSchema) plan.response_format.schema = input.text();
  if (input.flag()) plan.parallel_tool_calls = input.flag();
  if (input.flag()) plan.thinking = input.flag();
  if (plan.messages.empty()) return;
  PlanMessage& first = plan.messages.front();
  const std::size_t calls = input.below(3);
  for (std::size_t i = 0; i < calls; ++i) {
    ToolCall call;
    call.id = input.text();
    call.name = input.text();
    call.arguments = input.text();
    first.tool_calls.push_back(std::move(call));
  }
  plan.messages.back().tool_call_id = input.text();
}

void claim_calls(const PlanMessage& message, const v1::ChatMessage& read) {
  TG_CLAIM("every call arrives", static_cast<std::size_t>(read.tool_calls_size()) == message.tool_calls.size());
  for (int i = 0; i < read.tool_calls_size(); ++i) {
    const ToolCall& call = message.tool_calls[static_cast<std::size_t>(i)];
    TG_CLAIM("as it was", read.tool_calls(i).id() == call.id && read.tool_calls(i).name() == call.name &&
                              read.tool_calls(i).arguments() == call.arguments);
  }
  TG_CLAIM("an answer names its call", read.tool_call_id() == message.tool_call_id);
}

void claim_tools(const Plan& plan, const v1::StartSequence& read) {
  TG_CLAIM("every tool arrives", static_cast<std::size_t>(read.tools_size()) == plan.tools.size());
  for (int i = 0; i < read.tools_size(); ++i) {
    const PlanTool& tool = plan.tools[static_cast<std::size_t>(i)];
    TG_CLAIM("as it was", read.tools(i).name() == tool.name && read.tools(i).description() == tool.description &&
                              read.tools(i).parameters_json() == tool.parameters &&
                              read.tools(i).strict() == tool.strict);
  }
  TG_CLAIM("the choice arrives",
           (read.tool_choice().mode() == v1::ToolChoice::MODE_AUTO) == (plan.tool_choice.mode == ToolMode::kAuto) &&
               read.tool_choice().name() == plan.tool_choice.name);
  TG_CLAIM("the format arrives", (read.response_format().kind() == v1::ResponseFormat::KIND_TEXT) ==
                                         (plan.response_format.kind == FormatKind::kText) &&
                                     read.response_format().schema_json() == plan.response_format.schema);
  TG_CLAIM("what was left open stays open",
           read.has_parallel_tool_calls() == plan.parallel_tool_calls.has_value() &&
               read.parallel_tool_calls() == plan.parallel_tool_calls.value_or(false) &&
               read.has_thinking() == plan.thinking.has_value() && read.thinking() == plan.thinking.value_or(false));
}

void check_start(fuzz::Input& input) {
  Plan plan;
  const std::size_t messages = input.below(4);
  for (std::size_t i = 0; i < messages; ++i) {
    PlanMessage message;
    message.role = static_cast<Role>(input.below(4));
    message.content = input.text();
    if (i + 1 == messages && message.role == Role::kAssistant) {
      message.begins_answer = true;
      message.reasoning = input.text();
    }
    plan.messages.push_back(std::move(message));
  }
  if (messages == 0) {
    plan.raw = RawPrompt{.text = input.text()};
    if (input.flag()) plan.raw->suffix = input.text();
  }
  if (input.flag()) plan.sampling.temperature = static_cast<double>(input.byte()) / 128.0;
  if (input.flag()) plan.sampling.seed = input.number(8);
  if (input.flag()) plan.sampling.top_k = static_cast<std::int32_t>(input.number(2));
  const std::size_t stops = input.below(4);
  for (std::size_t i = 0; i < stops; ++i) plan.sampling.stop.push_back(input.text());
  SequenceRequest request;
  request.request = RequestId{*Uuid::from_bytes("0123456789abcdef")};
  request.plan = &plan;
  request.max_tokens = static_cast<std::int32_t>(1 + input.number(2));

  const std::uint64_t sequence = input.number(8);
  const auto budget = std::chrono::milliseconds(input.number(2));
  read_tools(input, plan);
  const v1::StartSequence start = encode_start(sequence, request, "salt", budget);
  const std::string bytes = start.SerializeAsString();
  v1::StartSequence read;
  TG_CLAIM("a start can be read", parse(read, bytes) && read.SerializeAsString() == bytes);
  TG_CLAIM("it names its request", read.request_id() == request.request.raw() && read.sequence() == sequence);
  TG_CLAIM("it holds every message", static_cast<std::size_t>(read.messages_size()) == plan.messages.size());
  for (int i = 0; i < read.messages_size(); ++i) {
    const PlanMessage& message = plan.messages[static_cast<std::size_t>(i)];
    TG_CLAIM("to the letter", read.messages(i).content() == message.content &&
                                  read.messages(i).role() == role_name(message.role) &&
                                  read.messages(i).prefix() == message.begins_answer &&
                                  read.messages(i).reasoning() == message.reasoning);
    claim_calls(message, read.messages(i));
  }
  claim_tools(plan, read);
  TG_CLAIM("it is a prompt or a conversation", read.has_raw() == plan.raw.has_value());
  TG_CLAIM("it asks what was asked",
           static_cast<std::size_t>(read.sampling().stop_size()) == plan.sampling.stop.size() &&
               read.sampling().has_seed() == plan.sampling.seed.has_value() &&
               read.sampling().max_tokens() == request.max_tokens);
}

void check_routes(fuzz::Input& input) {
  v1::Routes routes;
  if (!parse(routes, input.rest())) return;
  const RouteSnapshot snapshot = decode_routes(routes);
  TG_CLAIM("every route arrives", snapshot.routes.size() == static_cast<std::size_t>(routes.routes_size()));
  TG_CLAIM("every model too", snapshot.models.size() == static_cast<std::size_t>(routes.models_size()));
  for (std::size_t i = 0; i < snapshot.routes.size(); ++i) {
    const v1::Route& from = routes.routes(static_cast<int>(i));
    TG_CLAIM("in its place",
             snapshot.routes[i].worker_id == from.worker_id() && snapshot.routes[i].pool == from.pool());
  }
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate::gateway;
  // One line of log for every string that is no UTF-8 would be most of the work.
  [[maybe_unused]] static const auto kLouder = google::protobuf::SetLogHandler(nullptr);
  tidegate::fuzz::Input input(data, size);
  switch (input.below(3)) {
    case 0:
      check_merge(input);
      break;
    case 1:
      check_start(input);
      break;
    default:
      check_routes(input);
      break;
  }
  return 0;
}
