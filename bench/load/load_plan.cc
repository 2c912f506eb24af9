#include "bench/load/load_plan.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "base/json/json.h"

namespace tidegate::bench {

namespace {

std::unexpected<Error> bad(std::string member, std::string message) {
  return fail(Code::kInvalidArgument, "bad_plan", std::move(message), std::move(member));
}

Result<std::string> text_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "no_file", fmt::format("cannot read {}", file));
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

Result<Duration> millis(const json::object& from, std::string_view key, Duration fallback) {
  TG_ASSIGN(const auto given, json::find_int(from, key));
  if (given && *given < 0) return bad(std::string(key), "must not be negative");
  return given ? Duration(std::chrono::milliseconds(*given)) : fallback;
}

Status read_targets(const json::object& from, LoadPlan& plan) {
  TG_ASSIGN(const json::array* list, json::get_array(from, "targets"));
  for (const json::value& each : *list) {
    if (!each.is_object()) return bad("targets", "each target is an object");
    Target target;
    TG_ASSIGN(target.host, json::get_string(each.get_object(), "host", "targets"));
    TG_ASSIGN(const std::int64_t port, json::get_int(each.get_object(), "port", "targets"));
    if (port < 1 || port > 65'535) return bad("targets", "a port is 1 to 65535");
    target.port = static_cast<std::uint16_t>(port);
    plan.targets.push_back(std::move(target));
  }
  return plan.targets.empty() ? Status(bad("targets", "name at least one")) : Status();
}

Status read_tenants(const json::object& from, LoadPlan& plan) {
  TG_ASSIGN(const json::array* list, json::get_array(from, "tenants"));
  for (const json::value& each : *list) {
    if (!each.is_object()) return bad("tenants", "each tenant is an object");
    LoadTenant tenant;
    TG_ASSIGN(tenant.name, json::get_string(each.get_object(), "name", "tenants"));
    TG_ASSIGN(const auto key, json::find_string(each.get_object(), "key", "tenants"));
    tenant.key = key.value_or("");
    plan.tenants.push_back(std::move(tenant));
  }
  return plan.tenants.empty() ? Status(bad("tenants", "name at least one")) : Status();
}

/// `rates`: one a tenant; or `rate`: for all together, in equal parts.
Status read_phases(const json::object& from, LoadPlan& plan) {
  TG_ASSIGN(const json::array* list, json::get_array(from, "phases"));
  for (const json::value& each : *list) {
    if (!each.is_object()) return bad("phases", "each phase is an object");
    const json::object& one = each.get_object();
    Phase phase;
    TG_ASSIGN(phase.name, json::get_string(one, "name", "phases"));
    TG_ASSIGN(phase.length, millis(one, "ms", Duration::zero()));
    if (phase.length <= Duration::zero()) return bad("phases", "a phase needs 'ms'");
    TG_ASSIGN(const auto rate, json::find_double(one, "rate", "phases"));
    phase.rates.assign(plan.tenants.size(), rate.value_or(0) / static_cast<double>(plan.tenants.size()));
    if (const json::value* rates = one.if_contains("rates"); rates != nullptr) {
      if (!rates->is_array() || rates->get_array().size() != plan.tenants.size()) {
        return bad("phases", "'rates' holds one number for each tenant");
      }
      for (std::size_t t = 0; t < plan.tenants.size(); ++t) {
        const json::value& number = rates->get_array()[t];
        if (!number.is_number()) return bad("phases", "'rates' holds one number for each tenant");
        phase.rates[t] = number.to_number<double>();
      }
    }
    plan.phases.push_back(std::move(phase));
  }
  return plan.phases.empty() ? Status(bad("phases", "name at least one")) : Status();
}

Status read_watched(const json::object& from, LoadPlan& plan) {
  const json::value* list = from.if_contains("watched");
  if (list == nullptr) return {};
  if (!list->is_array()) return bad("watched", "is a list of {name, pid}");
  for (const json::value& each : list->get_array()) {
    if (!each.is_object()) return bad("watched", "is a list of {name, pid}");
    WatchedProcess process;
    TG_ASSIGN(process.name, json::get_string(each.get_object(), "name", "watched"));
    TG_ASSIGN(process.pid, json::get_int(each.get_object(), "pid", "watched"));
    plan.watched.push_back(std::move(process));
  }
  return {};
}

Status read_headers(const json::object& from, LoadPlan& plan) {
  const json::value* headers = from.if_contains("headers");
  if (headers == nullptr) return {};
  if (!headers->is_object()) return bad("headers", "is an object of texts");
  for (const auto& header : headers->get_object()) {
    if (!header.value().is_string()) return bad("headers", "is an object of texts");
    const std::string_view name = header.key();
    const std::string_view value = header.value().get_string();
    plan.headers.emplace_back(std::string(name), std::string(value));
  }
  return {};
}

Result<std::int64_t> number(const json::object& from, std::string_view key, std::int64_t fallback, std::int64_t most) {
  TG_ASSIGN(const auto given, json::find_int(from, key));
  const std::int64_t value = given.value_or(fallback);
  if (value < 0 || value > most) return bad(std::string(key), fmt::format("must be 0 to {}", most));
  return value;
}

}  // namespace

Result<LoadPlan> read_load_plan(const std::string& file) {
  TG_ASSIGN(const json::value document, json::parse_file(file));
  if (!document.is_object()) return bad("", "a plan is an object");
  const json::object& from = document.get_object();
  LoadPlan plan;
  TG_TRY(read_targets(from, plan));
  TG_TRY(read_headers(from, plan));
  TG_TRY(read_tenants(from, plan));
  TG_TRY(read_phases(from, plan));
  TG_TRY(read_watched(from, plan));
  TG_ASSIGN(const auto path, json::find_string(from, "path"));
  plan.path = path.value_or(plan.path);
  TG_ASSIGN(const std::string body_file, json::get_string(from, "body_file"));
  TG_ASSIGN(plan.body, text_of(body_file));
  TG_ASSIGN(const auto is_stream, json::find_bool(from, "stream"));
  plan.is_stream = is_stream.value_or(false);
  TG_ASSIGN(const auto spacing, json::find_string(from, "spacing"));
  if (spacing && *spacing != "poisson" && *spacing != "constant") return bad("spacing", "must be poisson or constant");
  plan.spacing = spacing == "constant" ? Spacing::kConstant : Spacing::kPoisson;
  TG_ASSIGN(plan.clients, number(from, "clients", 0, kConnectionsMax));
  TG_ASSIGN(plan.connections_max, number(from, "connections_max", plan.connections_max, kConnectionsMax));
  if (plan.connections_max == 0) return bad("connections_max", "must be at least 1");
  TG_ASSIGN(plan.retries_max, number(from, "retries_max", 0, 100));
  TG_ASSIGN(const std::int64_t seed, number(from, "seed", 1, std::int64_t{1} << 40));
  plan.seed = static_cast<std::uint64_t>(seed);
  TG_ASSIGN(plan.answer_max, millis(from, "answer_max_ms", plan.answer_max));
  TG_ASSIGN(plan.drain_max, millis(from, "drain_max_ms", plan.drain_max));
  return plan;
}

}  // namespace tidegate::bench
