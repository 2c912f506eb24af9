#include "gateway/http/embedding_parse.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "gateway/http/openai_request.h"

namespace tidegate::gateway {
namespace {

constexpr std::array kFields = {
    FieldRule{"model"},
    FieldRule{"input"},
    FieldRule{"encoding_format"},
    FieldRule{"dimensions", FieldUse::kRefused, nullptr, "vectors have the model's own length: leave it out"},
    FieldRule{"user"},
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"service_tier"},
};

constexpr std::string_view kForms = "a text, an array of texts, an array of token ids, or an array of those";

Result<PlanEmbedInput> read_text(const json::value& value, const std::string& path) {
  PlanEmbedInput input;
  input.text = std::string(value.get_string());
  TG_TRY(check_embed_input(input, path));
  return input;
}

Result<PlanEmbedInput> read_tokens(const json::array& ids, const std::string& path) {
  PlanEmbedInput input;
  for (const json::value& id : ids) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > std::numeric_limits<std::int32_t>::max()) {
      return refuse_type(path, kForms);
    }
    input.tokens.push_back(static_cast<std::int32_t>(id.get_int64()));
  }
  TG_TRY(check_embed_input(input, path));
  return input;
}

Status read_input(const json::object& root, std::vector<PlanEmbedInput>& inputs) {
  TG_ASSIGN(const json::value* input, json::member(root, "input"));
  if (input->is_string()) {
    TG_ASSIGN(PlanEmbedInput one, read_text(*input, "input"));
    inputs.push_back(std::move(one));
    return {};
  }
  if (!input->is_array()) return refuse_type("input", kForms);
  const json::array& items = input->get_array();
  if (!items.empty() && items.front().is_number()) {
    TG_ASSIGN(PlanEmbedInput one, read_tokens(items, "input"));
    inputs.push_back(std::move(one));
    return {};
  }
  TG_TRY(check_embed_count(std::ssize(items)));
  for (const json::value& item : items) {
    const std::string path = fmt::format("input[{}]", inputs.size());
    if (item.is_string()) {
      TG_ASSIGN(PlanEmbedInput one, read_text(item, path));
      inputs.push_back(std::move(one));
    } else if (item.is_array()) {
      TG_ASSIGN(PlanEmbedInput one, read_tokens(item.get_array(), path));
      inputs.push_back(std::move(one));
    } else {
      return refuse_type(path, "a text or an array of token ids");
    }
  }
  return {};
}

}  // namespace

std::span<const FieldRule> embedding_fields() { return kFields; }

Result<EmbeddingRequest> parse_embedding(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  EmbeddingRequest request;
  Plan& plan = request.plan;
  TG_TRY(check_members(root, kFields, "", plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_TRY(read_input(root, plan.embed));
  TG_ASSIGN(const auto form, json::find_string(root, "encoding_format"));
  if (form && *form != "float" && *form != "base64") {
    return refuse_value("encoding_format", "must be 'float' or 'base64'");
  }
  request.form = form && *form == "base64" ? VectorForm::kBase64 : VectorForm::kFloat;
  TG_TRY(parse_service_tier(root, plan));
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_TRY(check_plan(plan, ""));
  return request;
}

}  // namespace tidegate::gateway
