#include "gateway/http/openai_chat_parse.h"

#include <string>
#include <utility>

#include "base/json/json.h"
#include "gateway/http/openai_fields.h"
#include "gateway/http/openai_messages.h"
#include "gateway/http/openai_request.h"

namespace tidegate::gateway {

Result<Plan> parse_openai_chat(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  Plan plan;
  TG_TRY(check_fields(root, chat_field_use, plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(const json::value* messages, json::member(root, "messages"));
  TG_ASSIGN(plan.messages, parse_openai_messages(*messages, plan.fields_ignored));
  // The later name wins when both are there.
  TG_ASSIGN(const std::int32_t older, parse_max_tokens(root, "max_tokens"));
  TG_ASSIGN(const std::int32_t newer, parse_max_tokens(root, "max_completion_tokens"));
  plan.sampling.max_tokens = newer > 0 ? newer : older;
  TG_TRY(parse_sampling(root, plan));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_ASSIGN(auto user, json::find_string(root, "user"));
  plan.end_user = std::move(user).value_or("");
  TG_TRY(check_plan(plan, ""));
  return plan;
}

}  // namespace tidegate::gateway
