#include "gateway/http/completion_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "gateway/http/openai_request.h"

namespace tidegate::gateway {
namespace {

constexpr std::array kCompletionFields = {
    FieldRule{"model"},
    FieldRule{"prompt"},
    FieldRule{"suffix"},
    FieldRule{"echo"},
    FieldRule{"stream"},
    FieldRule{"stream_options"},
    FieldRule{"max_tokens"},
    FieldRule{"temperature"},
    FieldRule{"top_p"},
    FieldRule{"top_k"},
    FieldRule{"stop"},
    FieldRule{"seed"},
    FieldRule{"presence_penalty"},
    FieldRule{"frequency_penalty"},
    FieldRule{"user"},
    FieldRule{"service_tier"},
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"n"},
    FieldRule{"best_of"},
    FieldRule{"logprobs"},
    FieldRule{"logit_bias"},
    FieldRule{"repetition_penalty"},
    FieldRule{"response_format", FieldUse::kRefused, is_plain_text},
    FieldRule{"tools", FieldUse::kRefused},
    FieldRule{"tool_choice", FieldUse::kRefused, leaves_choice_free},
    FieldRule{"messages", FieldUse::kRefused},
};

Result<std::string> parse_prompt(const json::object& root) {
  TG_ASSIGN(const json::value* prompt, json::member(root, "prompt"));
  if (prompt->is_string()) return std::string(prompt->get_string());
  if (!prompt->is_array()) return refuse_type("prompt", "a string, or an array of one string");
  const json::array& items = prompt->get_array();
  const auto is_ids = [](const json::value& item) { return item.is_number() || item.is_array(); };
  if (std::ranges::any_of(items, is_ids)) {
    return fail(Code::kInvalidArgument, "unsupported_parameter",
                "'prompt' with token ids is not supported here, since an id could forge a control token; send text.",
                "prompt");
  }
  if (items.size() != 1) return refuse_value("prompt", fmt::format("has {} prompts; send one a request", items.size()));
  if (!items[0].is_string()) return refuse_type("prompt[0]", "a string");
  return std::string(items[0].get_string());
}

/// `logprobs` is how many alternatives; `best_of` may not ask for answers that are thrown away.
Status parse_logprobs(const json::object& root, CompletionRequest& request) {
  PlanSampling& sampling = request.plan.sampling;
  TG_ASSIGN(const auto best_of, json::find_int(root, "best_of"));
  if (best_of && *best_of != sampling.n) {
    return refuse_feature("best_of", "every answer that is written is given: send 'n' alone, or the same number");
  }
  TG_ASSIGN(const auto logprobs, json::find_int(root, "logprobs"));
  if (!logprobs) return {};
  if (*logprobs < 0 || *logprobs > PlanLimits::kLogprobsMax) {
    return refuse_value("logprobs", fmt::format("must be between 0 and {}", PlanLimits::kLogprobsMax));
  }
  if (request.echo) return refuse_feature("logprobs", "with 'echo' it asks for those of the prompt: send one of the two");
  sampling.logprobs = static_cast<std::int32_t>(*logprobs);
  return {};
}

}  // namespace

std::span<const FieldRule> completion_fields() { return kCompletionFields; }

Result<CompletionRequest> parse_completion(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  CompletionRequest request;
  Plan& plan = request.plan;
  TG_TRY(check_members(root, kCompletionFields, "", plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  RawPrompt raw;
  TG_ASSIGN(raw.text, parse_prompt(root));
  TG_ASSIGN(raw.suffix, json::find_string(root, "suffix"));
  if (raw.suffix && raw.suffix->empty()) raw.suffix.reset();
  plan.raw = std::move(raw);
  TG_ASSIGN(const auto echo, json::find_bool(root, "echo"));
  request.echo = echo.value_or(false);
  TG_ASSIGN(const std::int32_t max_tokens, find_token_limit(root, "max_tokens"));
  plan.sampling.max_tokens = max_tokens > 0 ? max_tokens : kCompletionTokensDefault;
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_TRY(parse_penalties(root, plan.sampling));
  TG_TRY(parse_choices(root, plan.sampling));
  TG_TRY(parse_logprobs(root, request));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_TRY(parse_service_tier(root, plan));
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_TRY(check_plan(plan, ""));
  return request;
}

}  // namespace tidegate::gateway
