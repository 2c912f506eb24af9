#include "gateway/http/completion_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/json/json.h"
#include "gateway/http/openai_fields.h"
#include "gateway/http/openai_request.h"

namespace tidegate::gateway {
namespace {

Result<std::string> parse_prompt(const json::object& root) {
  TG_ASSIGN(const json::value* prompt, json::member(root, "prompt"));
  if (prompt->is_string()) return std::string(prompt->get_string());
  if (!prompt->is_array()) {
    return fail(Code::kInvalidArgument, "wrong_type", "'prompt' must be a string, or an array of one string.",
                "prompt");
  }
  const json::array& items = prompt->get_array();
  const auto is_ids = [](const json::value& item) { return item.is_number() || item.is_array(); };
  if (std::ranges::any_of(items, is_ids)) {
    return fail(Code::kInvalidArgument, "unsupported_parameter",
                "'prompt' with token ids is not supported here, since an id could forge a control token; send text.",
                "prompt");
  }
  if (items.size() != 1) {
    return fail(Code::kInvalidArgument, "invalid_value",
                fmt::format("'prompt' has {} prompts; send one a request.", items.size()), "prompt");
  }
  if (!items[0].is_string()) {
    return fail(Code::kInvalidArgument, "wrong_type", "'prompt[0]' must be a string.", "prompt[0]");
  }
  return std::string(items[0].get_string());
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  CompletionRequest request;
  Plan& plan = request.plan;
  TG_TRY(check_fields(root, completion_field_use, plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  RawPrompt raw;
  TG_ASSIGN(raw.text, parse_prompt(root));
  TG_ASSIGN(raw.suffix, json::find_string(root, "suffix"));
  if (raw.suffix && raw.suffix->empty()) raw.suffix.reset();
  plan.raw = std::move(raw);
  TG_ASSIGN(const auto echo, json::find_bool(root, "echo"));
  request.echo = echo.value_or(false);
  TG_ASSIGN(const std::int32_t max_tokens, parse_max_tokens(root, "max_tokens"));
  plan.sampling.max_tokens = max_tokens > 0 ? max_tokens : kCompletionTokensDefault;
  TG_TRY(parse_sampling(root, plan));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_ASSIGN(auto user, json::find_string(root, "user"));
  plan.end_user = std::move(user).value_or("");
  TG_TRY(check_plan(plan, ""));
  return request;
}

}  // namespace tidegate::gateway
