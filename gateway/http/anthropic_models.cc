#include "gateway/http/anthropic_models.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <system_error>
#include <vector>

#include "base/core/clock.h"
#include "base/core/json_text.h"
#include "base/net/http_message.h"
#include "gateway/http/openai_models.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kPageDefault = 20;
constexpr std::size_t kPageMax = 1'000;

Result<std::size_t> read_limit(std::string_view query) {
  const std::string text = query_value(query, "limit");
  if (text.empty()) return kPageDefault;
  std::size_t limit = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, limit);
  if (read.ec != std::errc() || read.ptr != end || limit < 1 || limit > kPageMax) {
    return refuse_value("limit", "must be between 1 and 1000");
  }
  return limit;
}

void append_anthropic_model(std::string& out, const RouteTable& routes, const Principal& principal, const Meter& meter,
                            std::int64_t created_s, std::string_view id) {
  out += R"({"type":"model","id":)";
  append_json_text(out, id);
  out += R"(,"display_name":)";
  append_json_text(out, id);
  out += R"(,"created_at":)";
  append_json_text(out, format_rfc3339(wall_from_unix_micros(created_s * 1'000'000)));
  append_model_facts(out, routes, principal, meter, id);
  out += '}';
}

void append_edge(std::string& out, std::string_view key, const std::string* id) {
  out += ",\"";
  out += key;
  out += "\":";
  if (id == nullptr) {
    out += "null";
  } else {
    append_json_text(out, *id);
  }
}

}  // namespace

Result<std::string> anthropic_model_list(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                         std::int64_t created_s, std::string_view query) {
  TG_ASSIGN(const std::size_t limit, read_limit(query));
  const std::string after = query_value(query, "after_id");
  const std::string before = query_value(query, "before_id");
  if (!after.empty() && !before.empty()) return refuse_value("after_id", "excludes 'before_id': send one of the two");

  std::vector<std::string> ids;  // sorted, as the table's are
  for (const std::string& id : routes.models()) {
    if (principal.may_call(id)) ids.push_back(id);
  }
  // By order, not by place: a page goes on where the last one ended also when a model has come or gone since.
  auto first = after.empty() ? ids.begin() : std::ranges::upper_bound(ids, after);
  auto last = before.empty() ? ids.end() : std::ranges::lower_bound(ids, before);
  const bool has_more = static_cast<std::size_t>(last - first) > limit;
  if (has_more && before.empty()) last = first + static_cast<std::ptrdiff_t>(limit);
  if (has_more && !before.empty()) first = last - static_cast<std::ptrdiff_t>(limit);

  std::string out = R"({"data":[)";
  for (auto id = first; id != last; ++id) {
    if (id != first) out += ',';
    append_anthropic_model(out, routes, principal, meter, created_s, *id);
  }
  out += has_more ? R"(],"has_more":true)" : R"(],"has_more":false)";
  append_edge(out, "first_id", first == last ? nullptr : &*first);
  append_edge(out, "last_id", first == last ? nullptr : &*(last - 1));
  return out += '}';
}

std::optional<std::string> anthropic_model(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                           std::int64_t created_s, std::string_view id) {
  if (!routes.offers(id) || !principal.may_call(id)) return std::nullopt;
  std::string out;
  append_anthropic_model(out, routes, principal, meter, created_s, id);
  return out;
}

}  // namespace tidegate::gateway
