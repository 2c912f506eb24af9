#include "worker/engine/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/json/json.h"

namespace tidegate::worker {
namespace {

constexpr double kTemperatureMax = 2;

std::unexpected<Error> out_of_range(std::string_view field, std::string_view limits) {
  return fail(Code::kInvalidArgument, "out_of_range", fmt::format("'{}' must be {}", field, limits),
              std::string(field));
}

void add_once(std::vector<TokenId>& ids, std::int64_t id) {
  const auto token = static_cast<TokenId>(id);
  if (std::ranges::find(ids, token) == ids.end()) ids.push_back(token);
}

Status read_defaults(const json::object& from, SamplerParams& defaults) {
  TG_ASSIGN(const auto temperature, json::find_double(from, "temperature"));
  TG_ASSIGN(const auto top_p, json::find_double(from, "top_p"));
  TG_ASSIGN(const auto top_k, json::find_int(from, "top_k"));
  TG_TRY(check_temperature(temperature.value_or(0)));
  TG_TRY(check_top_p(top_p.value_or(1)));
  TG_TRY(check_top_k(top_k.value_or(0)));
  defaults.temperature = temperature.value_or(defaults.temperature);
  defaults.top_p = top_p.value_or(defaults.top_p);
  defaults.top_k = static_cast<std::int32_t>(top_k.value_or(defaults.top_k));
  return {};
}

// One id or a list of ids.
Status read_end_tokens(const json::object& from, std::vector<TokenId>& ids) {
  const json::value* value = from.if_contains("eos_token_id");
  if (value == nullptr || value->is_null()) return {};
  if (value->is_int64()) {
    add_once(ids, value->get_int64());
    return {};
  }
  if (!value->is_array()) return out_of_range("eos_token_id", "an id or a list of ids");
  for (const json::value& id : value->get_array()) {
    if (!id.is_int64()) return out_of_range("eos_token_id", "an id or a list of ids");
    add_once(ids, id.get_int64());
  }
  return {};
}

Status read_pooling(const json::object& from, std::optional<Pooling>& pooling) {
  TG_ASSIGN(const auto name, json::find_string(from, "embedding_pooling"));
  if (!name) return {};
  if (*name != "mean" && *name != "last") return out_of_range("embedding_pooling", "'mean' or 'last'");
  pooling = *name == "mean" ? Pooling::kMean : Pooling::kLast;
  return {};
}

}  // namespace

// Written so that NaN fails.
Status check_temperature(double temperature) {
  if (!(temperature >= 0 && temperature <= kTemperatureMax))
    return out_of_range("temperature", "between 0 and 2");
  return {};
}

Status check_top_p(double top_p) {
  if (!(top_p > 0 && top_p <= 1)) return out_of_range("top_p", "above 0 and at most 1");
  return {};
}

Status check_top_k(std::int64_t top_k) {
  if (top_k < 0 || top_k > std::numeric_limits<std::int32_t>::max())
    return out_of_range("top_k", "0 (off) or more");
  return {};
}

Result<ServedModel> load_served_model(const std::filesystem::path& dir) {
  TG_ASSIGN(Tokenizer loaded, Tokenizer::load(dir.string()));
  auto tokenizer = std::make_unique<const Tokenizer>(std::move(loaded));
  TG_ASSIGN(const ChatTemplate chat, ChatTemplate::load(dir.string(), *tokenizer));
  ServedModel model{
      .tokenizer = std::move(tokenizer), .chat = chat, .end_tokens = chat.end_tokens(), .defaults = {}};
  for (const char* name : {"generation_config.json", "tidegate.json"}) {
    const std::filesystem::path path = dir / name;
    if (!std::filesystem::exists(path)) continue;
    TG_ASSIGN(const json::value document, json::parse_file(path.string()));
    if (!document.is_object()) {
      return fail(Code::kInvalidArgument, "wrong_type", fmt::format("{} must hold an object", path.string()),
                  name);
    }
    TG_TRY(read_defaults(document.get_object(), model.defaults));
    TG_TRY(read_end_tokens(document.get_object(), model.end_tokens));
    TG_TRY(read_pooling(document.get_object(), model.pooling));
  }
  return model;
}

}  // namespace tidegate::worker
