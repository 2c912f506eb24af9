#include "gateway/http/openai_models.h"

#include <utility>

#include "base/core/json_text.h"

namespace tidegate::gateway {
namespace {

void append_text(std::string& out, std::string_view key, std::string_view value) {
  out += ",\"";
  out += key;
  out += "\":";
  append_json_text(out, value);
}

void append_pricing(std::string& out, const Meter::Quote& quote) {
  out += R"(,"pricing":{"unit":"1M tokens")";
  append_text(out, "currency", quote.currency);
  append_text(out, "band", quote.band);
  append_text(out, "prompt_hit", quote.prompt_hit);
  append_text(out, "prompt_miss", quote.prompt_miss);
  append_text(out, "output", quote.output);
  append_text(out, "price_version", quote.price_version);
  out += R"(,"until":)";
  if (quote.until_us > 0) {
    append_json_text(out, format_rfc3339(wall_from_unix_micros(quote.until_us)));
  } else {
    out += "null";
  }
  out += '}';
}

void append_openai_model(std::string& out, const RouteTable& routes, const Principal& principal, const Meter& meter,
                         std::int64_t created_s, std::string_view id) {
  out += R"({"id":)";
  append_json_text(out, id);
  out += R"(,"object":"model","created":)" + std::to_string(created_s) + R"(,"owned_by":"tidegate")";
  append_model_facts(out, routes, principal, meter, id);
  out += '}';
}

}  // namespace

void append_model_facts(std::string& out, const RouteTable& routes, const Principal& principal, const Meter& meter,
                        std::string_view id) {
  if (const auto pool = routes.pool_for(id, principal.regions)) {
    out += R"(,"context_length":)" + std::to_string(pool->context_max);
    append_text(out, "region", pool->region);
    append_text(out, "pool", pool->pool);
  }
  if (const auto quote = meter.quote(principal, id)) append_pricing(out, *quote);
}

std::string openai_model_list(const RouteTable& routes, const Principal& principal, const Meter& meter,
                              std::int64_t created_s) {
  std::string out = R"({"object":"list","data":[)";
  bool first = true;
  for (const std::string& id : routes.models()) {
    if (!principal.may_call(id)) continue;
    if (!std::exchange(first, false)) out += ',';
    append_openai_model(out, routes, principal, meter, created_s, id);
  }
  return out += "]}";
}

std::optional<std::string> openai_model(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                        std::int64_t created_s, std::string_view id) {
  if (!routes.offers(id) || !principal.may_call(id)) return std::nullopt;
  std::string out;
  append_openai_model(out, routes, principal, meter, created_s, id);
  return out;
}

}  // namespace tidegate::gateway
