#include "worker/rpc/frame_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json_dump.h"

namespace tidegate::worker {

namespace {

Result<Role> decode_role(const std::string& role, int index) {
  if (role == "user") return Role::kUser;
  if (role == "assistant") return Role::kAssistant;
  if (role == "system" || role == "developer") return Role::kSystem;
  if (role == "tool") return Role::kTool;
  return fail(Code::kInvalidArgument, "bad_role", fmt::format("the role '{}' is not known", role),
              fmt::format("messages[{}].role", index));
}

v1::FinishReason encode_finish(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return v1::FINISH_REASON_STOP;
    case FinishReason::kLength: return v1::FINISH_REASON_LENGTH;
    case FinishReason::kCancelled: return v1::FINISH_REASON_CANCELLED;
    case FinishReason::kError: return v1::FINISH_REASON_ERROR;
    case FinishReason::kToolCalls: return v1::FINISH_REASON_TOOL_CALLS;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

Status check_text(const std::string& text, std::string field) {
  if (is_valid_utf8(text)) return {};
  return fail(Code::kInvalidArgument, "bad_utf8", fmt::format("'{}' is not UTF-8", field), field);
}

Status decode_calls(v1::ChatMessage& from, const std::string& path, ChatMessage& to) {
  for (v1::ToolCall& call : *from.mutable_tool_calls()) {
    TG_TRY(check_text(call.id(), path + ".tool_calls"));
    TG_TRY(check_text(call.name(), path + ".tool_calls"));
    TG_TRY(check_text(call.arguments(), path + ".tool_calls"));
    to.tool_calls.push_back(
        {std::move(*call.mutable_id()), std::move(*call.mutable_name()), std::move(*call.mutable_arguments())});
  }
  to.tool_call_id = std::move(*from.mutable_tool_call_id());
  return {};
}

/// As templates write it: parsed here, off the engine's thread.
Result<std::string> decode_schema(const std::string& text, const std::string& field) {
  if (text.empty()) return std::string();
  TG_TRY(check_text(text, field));
  const auto schema = json::parse(text);
  if (schema && schema->is_object()) return json::dump(*schema, json::Spacing::kSpace);
  return fail(Code::kInvalidArgument, "bad_schema", fmt::format("'{}' is not a JSON object", field), field);
}

ToolChoice::Mode decode_mode(v1::ToolChoice::Mode mode) {
  switch (mode) {
    case v1::ToolChoice::MODE_NONE: return ToolChoice::Mode::kNone;
    case v1::ToolChoice::MODE_REQUIRED: return ToolChoice::Mode::kRequired;
    case v1::ToolChoice::MODE_FUNCTION: return ToolChoice::Mode::kFunction;
    default: return ToolChoice::Mode::kAuto;  // auto, or a number that this build does not know
  }
}

ResponseFormat::Kind decode_kind(v1::ResponseFormat::Kind kind) {
  switch (kind) {
    case v1::ResponseFormat::KIND_JSON_OBJECT: return ResponseFormat::Kind::kJsonObject;
    case v1::ResponseFormat::KIND_JSON_SCHEMA: return ResponseFormat::Kind::kJsonSchema;
    default: return ResponseFormat::Kind::kText;  // text, or a number that this build does not know
  }
}

Result<ToolOffer> decode_offer(v1::StartSequence& start) {
  ToolOffer offer;
  if (start.tools_size() > kToolsMax) {
    return fail(Code::kInvalidArgument, "too_many_tools", fmt::format("at most {} tools", kToolsMax), "tools");
  }
  for (int i = 0; i < start.tools_size(); ++i) {
    v1::Tool& from = *start.mutable_tools(i);
    ToolSpec tool;
    TG_TRY(check_text(from.name(), "tools"));
    TG_TRY(check_text(from.description(), "tools"));
    tool.name = std::move(*from.mutable_name());
    tool.description = std::move(*from.mutable_description());
    tool.strict = from.strict();
    TG_ASSIGN(tool.parameters, decode_schema(from.parameters_json(), fmt::format("tools[{}].parameters", i)));
    offer.tools.push_back(std::move(tool));
  }
  offer.choice.mode = decode_mode(start.tool_choice().mode());
  offer.choice.name = start.tool_choice().name();
  offer.is_parallel = !start.has_parallel_tool_calls() || start.parallel_tool_calls();
  offer.format.kind = decode_kind(start.response_format().kind());
  offer.format.strict = start.response_format().strict();
  TG_ASSIGN(offer.format.schema, decode_schema(start.response_format().schema_json(), "response_format"));
  return offer;
}

Result<std::vector<ChatMessage>> decode_messages(v1::StartSequence& start) {
  const int count = start.messages_size();
  if (count == 0 || count > kMessagesMax) {
    return fail(Code::kInvalidArgument, "bad_message_count", fmt::format("1 to {} messages", kMessagesMax), "messages");
  }
  std::vector<ChatMessage> messages;
  messages.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    v1::ChatMessage& from = *start.mutable_messages(i);
    ChatMessage message;
    TG_ASSIGN(message.role, decode_role(from.role(), i));
    TG_TRY(check_text(from.content(), fmt::format("messages[{}].content", i)));
    message.content = std::move(*from.mutable_content());
    TG_TRY(decode_calls(from, fmt::format("messages[{}]", i), message));
    if (from.prefix()) {
      if (i + 1 < count || message.role != Role::kAssistant) {
        return fail(Code::kInvalidArgument, "bad_prefix", "only a last message, the assistant's, begins the answer",
                    fmt::format("messages[{}].prefix", i));
      }
      TG_TRY(check_text(from.reasoning(), fmt::format("messages[{}].reasoning_content", i)));
      message.reasoning = std::move(*from.mutable_reasoning());
      message.begins_answer = true;
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

/// A family that always begins inside its thinking is told not to think by an answer that has begun behind an empty one.
void end_thinking(std::vector<ChatMessage>& messages) {
  if (opening_of(messages) == nullptr) {
    ChatMessage answer;
    answer.role = Role::kAssistant;
    answer.begins_answer = true;
    messages.push_back(std::move(answer));
  }
  messages.back().ends_thinking = true;
}

Result<RawPrompt> decode_raw(v1::StartSequence& start) {
  if (start.messages_size() > 0) {
    return fail(Code::kInvalidArgument, "bad_message_count", "a raw prompt comes without messages", "messages");
  }
  v1::RawPrompt& from = *start.mutable_raw();
  TG_TRY(check_text(from.text(), "prompt"));
  RawPrompt prompt;
  prompt.text = std::move(*from.mutable_text());
  if (from.has_suffix()) {
    TG_TRY(check_text(from.suffix(), "suffix"));
    prompt.suffix = std::move(*from.mutable_suffix());
  }
  return prompt;
}

Result<std::vector<EmbedInput>> decode_embed(v1::StartSequence& start) {
  const int count = start.embed().inputs_size();
  if (count == 0 || start.messages_size() > 0 || start.has_raw()) {
    return fail(Code::kInvalidArgument, "bad_input_count", "texts to embed come alone, and there is at least one", "input");
  }
  std::vector<EmbedInput> inputs;
  for (int i = 0; i < count; ++i) {
    v1::EmbedInput& from = *start.mutable_embed()->mutable_inputs(i);
    const std::string field = fmt::format("input[{}]", i);
    TG_TRY(check_text(from.text(), field));
    if (from.text().empty() == from.tokens().empty()) {
      return fail(Code::kInvalidArgument, "bad_input", fmt::format("'{}' must be a text or token ids", field), field);
    }
    EmbedInput input;
    input.text = std::move(*from.mutable_text());
    input.tokens.assign(from.tokens().begin(), from.tokens().end());
    inputs.push_back(std::move(input));
  }
  return inputs;
}

Result<std::optional<CacheSalt>> decode_salt(const std::string& bytes) {
  if (bytes.empty()) return std::nullopt;
  CacheSalt salt;
  if (bytes.size() != salt.size()) {
    return fail(Code::kInvalidArgument, "bad_cache_salt",
                fmt::format("the cache salt has {} bytes; it must have {}, or none", bytes.size(), salt.size()), "cache_salt");
  }
  std::ranges::copy(bytes, salt.begin());
  return salt;
}

Result<SamplingParams> decode_sampling(v1::SamplingParams in) {
  if (in.stop_size() > kStopMax) {
    return fail(Code::kInvalidArgument, "too_many_stops", fmt::format("at most {} stop strings", kStopMax), "stop");
  }
  if (in.max_tokens() < 0) {
    return fail(Code::kInvalidArgument, "out_of_range", "max_tokens must not be negative", "max_tokens");
  }
  SamplingParams out;
  if (in.has_temperature()) out.temperature = in.temperature();
  if (in.has_top_p()) out.top_p = in.top_p();
  if (in.has_top_k()) out.top_k = in.top_k();
  if (in.has_seed()) out.seed = in.seed();
  out.max_tokens = in.max_tokens();
  for (std::string& stop : *in.mutable_stop()) out.stop.push_back(std::move(stop));
  if (in.n() != 0) out.n = in.n();
  if (in.has_logprobs()) out.logprobs = in.logprobs();
  out.frequency_penalty = in.frequency_penalty();
  out.presence_penalty = in.presence_penalty();
  if (in.has_repetition_penalty()) out.repetition_penalty = in.repetition_penalty();
  if (in.logit_bias_size() > kBiasesMax) {
    return fail(Code::kInvalidArgument, "out_of_range", fmt::format("'logit_bias' takes at most {} tokens", kBiasesMax),
                "logit_bias");
  }
  for (const auto& [id, bias] : in.logit_bias()) out.logit_bias.emplace(id, bias);
  return out;
}

}  // namespace

Result<StartCommand> decode_start(v1::StartSequence start) {
  StartCommand command;
  command.sequence = start.sequence();
  if (auto request = RequestId::from_bytes(start.request_id())) command.request = *request;  // nil: nothing to compare
  command.budget = std::chrono::milliseconds(start.budget_ms());
  command.collect = start.collect();
  TG_ASSIGN(command.cache_salt, decode_salt(start.cache_salt()));
  if (start.has_embed()) {
    TG_ASSIGN(command.embed, decode_embed(start));
  } else if (start.has_raw()) {
    TG_ASSIGN(command.raw, decode_raw(start));
  } else {
    TG_ASSIGN(command.messages, decode_messages(start));
    TG_ASSIGN(command.offer, decode_offer(start));
    if (start.has_thinking() && !start.thinking()) end_thinking(command.messages);
  }
  TG_ASSIGN(command.sampling, decode_sampling(std::move(*start.mutable_sampling())));
  return command;
}

namespace {

void encode_logprob(TokenLogprob from, v1::TokenLogprob& to) {
  to.set_token(std::move(from.bytes));
  to.set_logprob(from.logprob);
  to.set_in_reasoning(from.in_reasoning);
  for (TokenLogprob::Alternative& other : from.top) {
    v1::TokenLogprob::Alternative& out = *to.add_top();
    out.set_token(std::move(other.bytes));
    out.set_logprob(other.logprob);
  }
}

void encode_usage(const SequenceUsage& from, v1::Usage& to) {
  to.set_prompt_tokens(from.prompt_tokens);
  to.set_cached_tokens(from.cached_tokens);
  to.set_completion_tokens(from.completion_tokens);
  to.set_reasoning_tokens(from.reasoning_tokens);
  to.set_drafted_tokens(from.drafted_tokens);
  to.set_accepted_tokens(from.accepted_tokens);
  to.set_device_us(from.device_us);
}

}  // namespace

v1::WorkerFrame encode_frame(SessionFrame frame) {
  v1::WorkerFrame out;
  out.set_step(static_cast<std::uint64_t>(frame.step));
  out.set_credits_total(frame.credits_total);
  out.set_draining(frame.draining);
  out.set_sequences_running(frame.sequences_running);
  out.set_tokens_queued(frame.tokens_queued);
  out.set_tokens_prefilling(frame.tokens_prefilling);
  out.set_starts_seen(frame.starts_seen);
  out.mutable_events()->Reserve(static_cast<int>(frame.events.size()));
  for (SessionEvent& event : frame.events) {
    v1::SequenceEvent& to = *out.add_events();
    to.set_sequence(event.sequence);
    to.set_accepted(event.accepted);
    if (!event.reasoning.empty()) to.set_reasoning(std::move(event.reasoning));
    if (!event.content.empty()) to.set_content(std::move(event.content));
    for (ToolCallDelta& call : event.tool_calls) {
      v1::ToolCallDelta& piece = *to.add_tool_calls();
      piece.set_index(call.index);
      piece.set_id(std::move(call.id));
      piece.set_name(std::move(call.name));
      piece.set_arguments(std::move(call.arguments));
    }
    for (TokenLogprob& logprob : event.logprobs) encode_logprob(std::move(logprob), *to.add_logprobs());
    to.mutable_embedding()->Add(event.embedding.begin(), event.embedding.end());
    encode_usage(event.usage, *to.mutable_usage());
    to.set_choice(std::max(0, event.choice));
    if (event.choice_finish) to.set_choice_finish(encode_finish(*event.choice_finish));
    if (!event.stop_text.empty()) to.set_stop_text(std::move(event.stop_text));
    if (!event.finish) continue;
    to.set_finish(encode_finish(*event.finish));
    if (*event.finish != FinishReason::kError) continue;
    to.set_error_code(std::string(code_name(event.error.code)));
    to.set_error_reason(std::move(event.error.reason));
    to.set_error_message(std::move(event.error.message));
    to.set_error_field(std::move(event.error.field));
  }
  return out;
}

v1::WorkerHello encode_hello(const WorkerFacts& worker, const EngineFacts& engine, std::uint64_t term) {
  v1::WorkerHello hello;
  hello.set_worker_id(worker.worker_id);
  hello.set_model(worker.model);
  hello.set_variant(worker.variant);
  hello.set_engine(engine.engine);
  hello.set_weights_digest(engine.weights_digest);
  hello.set_context_max(engine.context_max);
  hello.set_sequences_max(engine.sequences_max);
  hello.set_region(worker.region);
  hello.set_pool(worker.pool);
  hello.set_term(term);
  hello.set_kv_tokens_total(engine.kv_tokens_capacity);
  hello.set_prefill_tokens_per_second(engine.prefill_tokens_per_second);
  const EngineAbilities& can = engine.abilities;
  if (can.choices) hello.add_abilities(v1::ABILITY_CHOICES);
  if (can.logprobs) hello.add_abilities(v1::ABILITY_LOGPROBS);
  if (can.penalties) hello.add_abilities(v1::ABILITY_PENALTIES);
  if (can.logit_bias) hello.add_abilities(v1::ABILITY_LOGIT_BIAS);
  if (can.count) hello.add_abilities(v1::ABILITY_COUNT);
  if (can.embed) hello.add_abilities(v1::ABILITY_EMBED);
  return hello;
}

}  // namespace tidegate::worker
