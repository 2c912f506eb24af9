#include "gateway/dispatch/answer_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/core/request_flow.h"

namespace tidegate::gateway {
namespace {

bool is_promising(const PlanFormat& format) {
  return format.kind == FormatKind::kJsonObject || (format.kind == FormatKind::kJsonSchema && format.strict);
}

bool is_strict_call(const PlanTool& tool) { return tool.strict && !tool.parameters.empty(); }

std::string content_schema_of(const PlanFormat& format) {
  if (!is_promising(format)) return {};
  return format.kind == FormatKind::kJsonObject ? R"({"type":"object"})" : format.schema;
}

std::unexpected<Error> not_checked() {
  return fail(Code::kResourceExhausted, "not_checked", "The answer is too long to check.");
}

}  // namespace

std::unique_ptr<AnswerCheck> AnswerCheck::of(const Plan& plan, GatewayMetrics& metrics) {
  const bool is_promised = is_promising(plan.response_format) || plan.tool_choice.is_forced() ||
                           std::ranges::any_of(plan.tools, is_strict_call);
  if (!is_promised || !plan.sampling.stop.empty()) return nullptr;
  return std::make_unique<AnswerCheck>(plan, metrics);
}

AnswerCheck::AnswerCheck(const Plan& plan, GatewayMetrics& metrics)
    : plan_(plan),
      metrics_(metrics),
      content_schema_(content_schema_of(plan.response_format)),
      sides_(static_cast<std::size_t>(plan.answers())) {}

void AnswerCheck::reset() {
  sides_ = std::deque<Side>(sides_.size());
  kept_bytes_ = 0;
}

Status AnswerCheck::take(const SequenceDelta& delta) {
  if (delta.end && !is_good_end(*delta.end)) return {};
  // What names no answer of the request is its driver's to refuse.
  if (delta.choice < 0 || delta.choice >= std::ssize(sides_)) return {};
  Side& side = sides_[static_cast<std::size_t>(delta.choice)];
  keep(side, delta);
  std::optional<SequenceEnd> end = delta.choice_end;
  if (!end && sides_.size() == 1) end = delta.end;
  if (end != SequenceEnd::kStop && end != SequenceEnd::kToolCalls) return {};
  const Side whole = std::exchange(side, Side());
  Status held = kept_bytes_ > kKeptBytesMax ? not_checked() : check(whole);
  if (held) {
    metrics_.answers_held.add();
  } else if (held.error().code == Code::kResourceExhausted) {
    metrics_.answers_unchecked.add();
    return {};
  } else {
    metrics_.answers_broken.add();
  }
  return held;
}

void AnswerCheck::keep(Side& side, const SequenceDelta& delta) {
  if (kept_bytes_ > kKeptBytesMax) return;
  if (!content_schema_.empty()) append(side.content, delta.content);
  for (const ToolCallDelta& piece : delta.tool_calls) {
    if (piece.is_first()) begin_call(side, piece.name);
    if (side.is_in_strict_call) append(side.calls.back().arguments, piece.arguments);
  }
  if (kept_bytes_ <= kKeptBytesMax) return;
  for (Side& one : sides_) one = Side();
}

void AnswerCheck::begin_call(Side& side, std::string_view name) {
  const auto tool = std::ranges::find(plan_.tools, name, &PlanTool::name);
  const bool is_known = tool != plan_.tools.end();
  const bool is_named = plan_.tool_choice.mode != ToolMode::kFunction || name == plan_.tool_choice.name;
  side.has_call = true;
  side.has_stray_call |= plan_.tool_choice.is_forced() && !(is_known && is_named);
  side.is_in_strict_call = is_known && is_strict_call(*tool);
  if (!side.is_in_strict_call) return;
  kept_bytes_ += static_cast<std::int64_t>(sizeof(Call));
  side.calls.push_back({&*tool, {}});
}

void AnswerCheck::append(std::string& to, std::string_view text) {
  kept_bytes_ += std::ssize(text);
  to += text;
}

Status AnswerCheck::check(const Side& side) {
  if (plan_.tool_choice.is_forced() && !side.has_call) {
    return fail(Code::kInvalidArgument, "tool_choice", "there is no call where one was asked for");
  }
  if (side.has_stray_call) {
    return fail(Code::kInvalidArgument, "tool_choice", "there is a call of what may not be called");
  }
  if (!content_schema_.empty() && !side.has_call) TG_TRY(follows(content_schema_, side.content, "answer"));
  for (const Call& call : side.calls) {
    // Servers write a call of nothing either way.
    const std::string_view arguments = call.arguments.empty() ? std::string_view("{}") : call.arguments;
    const std::string name = fmt::format("{}.arguments", call.tool->name);
    TG_TRY(follows(call.tool->parameters, arguments, name));
  }
  return {};
}

Status AnswerCheck::follows(const std::string& schema, std::string_view text, std::string_view name) {
  auto known = checks_.find(&schema);
  if (known == checks_.end()) {
    auto opened = SchemaCheck::open(schema);
    if (!opened) return not_checked();
    known = checks_.emplace(&schema, *std::move(opened)).first;
  }
  return known->second.check(text, name);
}

Error answer_breaks_format(const Error& broken) {
  return {Code::kUnavailable, "answer_breaks_format",
          fmt::format("The model's answer is not what was asked for: {}. Send the request again.", broken.message)};
}

}  // namespace tidegate::gateway
